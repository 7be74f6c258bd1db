//! `~/.aws/config` and `~/.aws/credentials`: sections, and what a profile says to be. The format is that of the AWS CLI
//! (SDKs and Tools Reference Guide, "Shared config and credentials files"). Reads files, asks nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::environment::Environment;
use crate::problem::Problem;
use crate::util::suggest;

type Section = BTreeMap<String, String>;

/// All profiles, SSO sessions and service sections of both files. Not for logs: they may hold keys.
#[derive(Clone, Default)]
pub struct Profiles {
    profiles: BTreeMap<String, Section>,
    sso_sessions: BTreeMap<String, Section>,
    services: BTreeMap<String, Section>,
    /// Lines that say nothing that can be understood; the rest is used.
    pub problems: Vec<Problem>,
    /// The files that were looked for, for messages.
    files: Vec<PathBuf>,
}

/// What a profile is, followed to its end. Nothing here has been asked of anyone.
#[derive(Clone)]
pub enum Source {
    /// A key in the environment or in a file.
    Keys {
        id: String,
        secret: SecretString,
        token: Option<SecretString>,
        origin: String,
    },
    Sso(Sso),
    /// A command line that prints credentials.
    Process {
        profile: String,
        command: String,
    },
    WebIdentity {
        token_file: PathBuf,
        role: Role,
    },
    /// A role that is assumed with what another source gives.
    Assumed {
        base: Box<Source>,
        role: Role,
    },
    /// The address in `AWS_CONTAINER_CREDENTIALS_…`: ECS, or EKS Pod Identity.
    Container,
    /// The instance's own role.
    Instance,
}

/// How a profile signs in by IAM Identity Center.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sso {
    pub profile: String,
    /// The `sso-session` section; none in profiles of the older form.
    pub session: Option<String>,
    pub start_url: String,
    /// The region of Identity Center, which need not be the profile's.
    pub region: String,
    pub account: String,
    pub role: String,
    /// Scopes that a sign-in asks for.
    pub scopes: Vec<String>,
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Role {
    pub profile: Option<String>,
    pub arn: String,
    pub session_name: Option<String>,
    pub external_id: Option<String>,
    pub mfa_serial: Option<String>,
    pub seconds: Option<u32>,
    /// The region whose STS is asked, where the profile names one.
    pub region: Option<String>,
}

impl Profiles {
    /// Reads both files; they may be missing. What is wrong in them is in `problems`.
    pub fn load(environment: &Environment) -> Self {
        let file = |variable: &str, name: &str| {
            let named = environment.get(variable).map(|path| environment.path(path));
            named.or_else(|| Some(environment.folder()?.join(name)))
        };
        let config = file("AWS_CONFIG_FILE", "config");
        let credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let mut profiles = Self::default();
        for (path, is_config) in [(config, true), (credentials, false)] {
            let Some(path) = path else { continue };
            match std::fs::read_to_string(&path) {
                Ok(text) => profiles.read(&text, &path, is_config),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    profiles.problems.push(Problem::new(format!("cannot read {}", path.display())).because(error));
                }
            }
            profiles.files.push(path);
        }
        profiles
    }

    /// The same from texts, for tests.
    #[cfg(test)]
    pub fn of_texts(config: &str, credentials: &str) -> Self {
        let mut profiles = Self::default();
        profiles.read(config, Path::new("config"), true);
        profiles.read(credentials, Path::new("credentials"), false);
        profiles
    }

    fn read(&mut self, text: &str, path: &Path, is_config: bool) {
        let mut section: Option<&mut Section> = None;
        // The key that indented lines belong to: `eks =` and below it `  endpoint_url = …`.
        let mut outer: Option<String> = None;
        for (index, line) in text.lines().enumerate() {
            let mut bad = |why: &str| {
                let place = format!("{}:{}", path.display(), index + 1);
                // The line itself is not repeated: it may hold a key.
                self.problems.push(Problem::new(format!("{place} is passed over")).because(why));
            };
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            if let Some(header) = trimmed.strip_prefix('[') {
                outer = None;
                section = None;
                let Some((name, _)) = header.split_once(']') else {
                    bad("the section's name has no end");
                    continue;
                };
                let name = name.trim().trim_matches('"');
                let (kind, name) = match name.split_once(char::is_whitespace) {
                    Some((kind, rest)) if is_config => (kind, rest.trim().trim_matches('"')),
                    None if is_config && name != "default" => {
                        bad("a section other than [default] begins with `profile`, `sso-session` or `services`");
                        continue;
                    }
                    _ => ("profile", name),
                };
                let sections = match kind {
                    "profile" => &mut self.profiles,
                    "sso-session" => &mut self.sso_sessions,
                    "services" => &mut self.services,
                    // Of other tools: `plugins`, `preview`.
                    _ => continue,
                };
                section = Some(sections.entry(name.to_owned()).or_default());
                continue;
            }
            let Some(section) = &mut section else { continue };
            let Some((key, value)) = trimmed.split_once('=') else {
                bad("there is no `=` in it");
                continue;
            };
            let (key, value) = (key.trim().to_ascii_lowercase(), without_comment(value.trim()));
            match &outer {
                Some(outer) if line.starts_with(char::is_whitespace) => {
                    section.insert(format!("{outer}.{key}"), value.to_owned());
                }
                _ => {
                    outer = value.is_empty().then(|| key.clone());
                    section.insert(key, value.to_owned());
                }
            }
        }
    }

    /// The profiles' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }

    pub fn has(&self, profile: &str) -> bool {
        self.profiles.contains_key(profile)
    }

    /// A setting of a profile that is there and not empty.
    pub fn get(&self, profile: &str, key: &str) -> Option<&str> {
        self.profiles.get(profile)?.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A setting of a `services` section, nested ones with a dot: `eks.endpoint_url`.
    pub fn service(&self, section: &str, key: &str) -> Option<&str> {
        self.services.get(section)?.get(key).map(String::as_str)
    }

    /// The region that a profile names.
    pub fn region(&self, profile: &str) -> Option<&str> {
        self.get(profile, "region")
    }

    /// What a profile is; `None` when it holds nothing to sign in with.
    pub fn source(&self, profile: &str, environment: &Environment) -> Result<Option<Source>, Problem> {
        self.follow(profile, environment, &mut BTreeSet::new())
    }

    fn follow(
        &self,
        profile: &str,
        environment: &Environment,
        seen: &mut BTreeSet<String>,
    ) -> Result<Option<Source>, Problem> {
        let text = |key: &str| self.get(profile, key).map(str::to_owned);
        let again = !seen.insert(profile.to_owned());
        if let Some(arn) = text("role_arn").filter(|_| !again) {
            let role = Role {
                profile: Some(profile.to_owned()),
                arn,
                session_name: text("role_session_name")
                    .or_else(|| environment.get("AWS_ROLE_SESSION_NAME").map(Into::into)),
                external_id: text("external_id"),
                mfa_serial: text("mfa_serial"),
                seconds: text("duration_seconds").and_then(|text| text.parse().ok()),
                region: text("region"),
            };
            if let Some(file) = text("web_identity_token_file") {
                return Ok(Some(Source::WebIdentity { token_file: environment.path(&file), role }));
            }
            let base = match (text("source_profile"), text("credential_source").as_deref()) {
                (Some(base), None) => {
                    if base != profile && seen.contains(&base) {
                        return Err(wrong(profile, format!("its source_profile {base} leads back to it")));
                    }
                    if !self.has(&base) {
                        return Err(wrong(profile, format!("its source_profile {base} is nowhere to be found")));
                    }
                    let base_source = self.follow(&base, environment, seen)?;
                    base_source
                        .ok_or_else(|| wrong(profile, format!("its source_profile {base} holds no credentials")))?
                }
                (None, Some("Environment")) => of_environment(environment).ok_or_else(|| {
                    wrong(profile, "its credential_source is Environment, and AWS_ACCESS_KEY_ID is not set".to_owned())
                })?,
                (None, Some("Ec2InstanceMetadata")) => Source::Instance,
                (None, Some("EcsContainer")) => Source::Container,
                (None, Some(other)) => {
                    return Err(wrong(profile, format!("its credential_source {other:?} is unknown")));
                }
                (Some(_), Some(_)) => {
                    return Err(wrong(profile, "it has both a source_profile and a credential_source".to_owned()));
                }
                (None, None) => {
                    return Err(wrong(
                        profile,
                        "its role_arn has neither source_profile nor credential_source".to_owned(),
                    ));
                }
            };
            return Ok(Some(Source::Assumed { base: Box::new(base), role }));
        }
        if let Some(sso) = self.sso(profile)? {
            return Ok(Some(Source::Sso(sso)));
        }
        if let (Some(id), Some(secret)) = (text("aws_access_key_id"), text("aws_secret_access_key")) {
            let token = text("aws_session_token").map(SecretString::from);
            let origin = format!("a key in profile {profile}");
            return Ok(Some(Source::Keys { id, secret: secret.into(), token, origin }));
        }
        if let Some(command) = text("credential_process") {
            return Ok(Some(Source::Process { profile: profile.to_owned(), command }));
        }
        if text("login_session").is_some() {
            return Err(wrong(profile, "it signs in by `aws login`, which only the AWS CLI can do".to_owned()).hint(format!(
                "add `credential_process = aws configure export-credentials --profile {profile}` to a profile and use that"
            )));
        }
        Ok(None)
    }

    /// How a profile signs in by IAM Identity Center, if it does.
    pub fn sso(&self, profile: &str) -> Result<Option<Sso>, Problem> {
        let text = |key: &str| self.get(profile, key).map(str::to_owned);
        let session = text("sso_session");
        let (Some(account), Some(role)) = (text("sso_account_id"), text("sso_role_name")) else { return Ok(None) };
        let of_session = |key: &str| {
            let section = self.sso_sessions.get(session.as_ref()?)?;
            section.get(key).filter(|value| !value.is_empty()).cloned()
        };
        if let Some(name) = &session
            && !self.sso_sessions.contains_key(name)
        {
            return Err(wrong(profile, format!("its sso_session {name} is nowhere to be found")));
        }
        let setting = |key: &str| of_session(key).or_else(|| text(key));
        let missing = |key: &str| wrong(profile, format!("it signs in by SSO and has no {key}"));
        let scopes = of_session("sso_registration_scopes");
        let scopes: Vec<String> =
            scopes.iter().flat_map(|list| list.split(',')).map(|it| it.trim().to_owned()).collect();
        Ok(Some(Sso {
            profile: profile.to_owned(),
            start_url: setting("sso_start_url").ok_or_else(|| missing("sso_start_url"))?,
            region: setting("sso_region").ok_or_else(|| missing("sso_region"))?,
            session,
            account,
            role,
            scopes: if scopes.is_empty() { vec!["sso:account:access".to_owned()] } else { scopes },
        }))
    }

    /// Why a profile that someone asked for is not there.
    pub fn no_profile(&self, name: &str) -> Problem {
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        let problem =
            Problem::new(format!("there is no AWS profile {name}")).because(format!("read {}", files.join(", ")));
        match suggest::nearest(name, self.names()) {
            Some(near) => problem.hint(format!("did you mean {near}?")),
            None => problem.hint(format!("`aws configure --profile {name}` makes one")),
        }
    }
}

/// The key in the environment's variables.
pub fn of_environment(environment: &Environment) -> Option<Source> {
    Some(Source::Keys {
        id: environment.get("AWS_ACCESS_KEY_ID")?.to_owned(),
        secret: environment.get("AWS_SECRET_ACCESS_KEY")?.to_owned().into(),
        token: environment.get("AWS_SESSION_TOKEN").map(|token| token.to_owned().into()),
        origin: ENVIRONMENT.to_owned(),
    })
}

/// How keys of the environment are called.
pub const ENVIRONMENT: &str = "the environment (AWS_ACCESS_KEY_ID)";

fn wrong(profile: &str, why: String) -> Problem {
    Problem::new(format!("the AWS profile {profile} cannot be used"))
        .because(why)
        .hint("correct it in ~/.aws/config, or choose another profile")
}

/// A value ends where a comment begins, which takes a space before its sign.
fn without_comment(value: &str) -> &str {
    let end = [" #", " ;", "\t#", "\t;"].iter().filter_map(|sign| value.find(sign)).min();
    value[..end.unwrap_or(value.len())].trim_end()
}
