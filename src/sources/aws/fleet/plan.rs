//! Whom to ask for clusters, and in which regions: what the settings name and what is known anyway. Pure.

use super::Survey;
use crate::{
    sources::aws::{
        credentials::Wish,
        endpoint::{is_region, partition},
        profile::Profiles,
    },
    util::pattern,
};

/// One identity, and the regions in which it is asked.
#[derive(Debug)]
pub struct Planned {
    pub wish: Wish,
    pub regions: Vec<String>,
}

impl Planned {
    /// Who that is, in a word.
    pub fn who(&self) -> String {
        match (&self.wish.profile, self.wish.environment.get("AWS_ACCESS_KEY_ID")) {
            (None, Some(_)) => super::ENVIRONMENT.to_owned(),
            _ => self.wish.profile_name().to_owned(),
        }
    }
}

/// The shell's own session first, then the profiles of the files that can sign in.
pub fn plan(survey: &Survey, profiles: &Profiles) -> Vec<Planned> {
    let environment = &survey.environment;
    let wanted = |name: &str| survey.profiles.iter().any(|pattern| pattern::matches(pattern, name));
    let shell = Wish { environment: environment.clone(), ..Wish::default() };
    let own = shell.profile_name();
    let has_key = environment.get("AWS_ACCESS_KEY_ID").is_some();
    let elsewhere =
        ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    let nowhere = profiles.names().next().is_none();
    let as_shell = if has_key {
        // A key has no name.
        wanted("")
    } else {
        let named = profiles.has(own) || own != "default";
        wanted(own) && (named || nowhere || elsewhere.iter().any(|name| environment.get(name).is_some()))
    };
    let named = |name: &str| Wish { profile: Some(name.to_owned()), ..shell.clone() };
    // A profile that holds only settings signs nobody in; one that is wrong says so when it is asked.
    let signs_in = |name: &&str| !matches!(profiles.source(name, environment), Ok(None));
    let others = profiles.names().filter(|name| wanted(name) && (has_key || !as_shell || *name != own));
    let wishes = as_shell.then(|| shell.clone()).into_iter().chain(others.filter(signs_in).map(named));
    wishes.map(|wish| Planned { regions: regions(survey, profiles, &wish), wish }).collect()
}

fn regions(survey: &Survey, profiles: &Profiles, wish: &Wish) -> Vec<String> {
    if !survey.regions.is_empty() {
        return survey.regions.clone();
    }
    let own = profiles.region(wish.profile_name()).or(wish.region(profiles));
    let mut regions: Vec<String> = Vec::new();
    // The regions of contexts are anybody's, but for those of another partition: its accounts are others.
    let near = |region: &&str| own.is_none_or(|own| partition(own) == partition(region));
    let shell = wish.region(profiles);
    let contexts = survey.contexts.iter().map(String::as_str);
    for region in own.into_iter().chain(shell.into_iter().chain(contexts).filter(near)) {
        if is_region(region) && !regions.iter().any(|known| known == region) {
            regions.push(region.to_owned());
        }
    }
    regions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::aws::Environment;

    const FILES: &str = "[default]\nregion = eu-west-1\n[profile settings]\nregion = ap-south-1\n\
                         [profile prod]\nregion = eu-central-1\nsource_profile = default\nrole_arn = arn:aws:iam::1:role/x\n\
                         [profile china]\nregion = cn-north-1\ncredential_process = /bin/keys\n";
    const KEYS: &str = "[default]\naws_access_key_id = AKID\naws_secret_access_key = s\n";

    fn planned(environment: &Environment, profiles: &[&str], regions: &[&str], contexts: &[&str]) -> Vec<String> {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let survey = Survey {
            environment: environment.clone(),
            profiles: texts(profiles),
            regions: texts(regions),
            contexts: texts(contexts),
            ..Survey::default()
        };
        let files = Profiles::of_texts(FILES, KEYS);
        let line = |it: &Planned| format!("{}: {}", it.wish.profile.as_deref().unwrap_or("-"), it.regions.join(" "));
        plan(&survey, &files).iter().map(line).collect()
    }

    #[test]
    fn profiles_are_asked_in_their_own_region_and_in_those_that_are_known() {
        let none = Environment::default();
        assert_eq!(
            planned(&none, &["*"], &[], &["us-east-1"]),
            ["-: eu-west-1 us-east-1", "china: cn-north-1", "prod: eu-central-1 us-east-1"]
        );
        let shell = none.clone().with([("AWS_REGION", "eu-north-1")]);
        assert_eq!(
            planned(&shell, &["*"], &[], &[]),
            ["-: eu-west-1 eu-north-1", "china: cn-north-1", "prod: eu-central-1 eu-north-1"]
        );
        assert_eq!(planned(&none, &["pro?"], &["eu-west-3"], &["us-east-1"]), ["prod: eu-west-3"]);
        assert_eq!(planned(&none, &["nobody"], &[], &[]), [""; 0]);
    }

    #[test]
    fn a_key_of_the_environment_is_asked_beside_the_profiles_and_not_in_their_place() {
        let key = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_PROFILE", "prod")];
        let shell = Environment::default().with(key);
        assert_eq!(
            planned(&shell, &["*"], &[], &[]),
            ["-: eu-central-1", "china: cn-north-1", "default: eu-west-1", "prod: eu-central-1"]
        );
        assert_eq!(planned(&shell, &["prod"], &[], &[]), ["prod: eu-central-1"]);
        let named = Environment::default().with([("AWS_PROFILE", "prod")]);
        assert_eq!(planned(&named, &["prod"], &[], &[]), ["-: eu-central-1"], "the shell's session is this profile");
    }

    #[test]
    fn without_any_file_the_machine_itself_may_be_somebody() {
        let planned = |environment: &Environment| {
            let survey = Survey { environment: environment.clone(), profiles: vec!["*".into()], ..Survey::default() };
            plan(&survey, &Profiles::default()).len()
        };
        assert_eq!(planned(&Environment::default()), 1);
    }
}
