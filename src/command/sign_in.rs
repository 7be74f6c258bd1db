//! Signing in from within: the code of an MFA device that a role wants, the address and code that a browser has to
//! confirm, and looking for credentials anew. One question at a time lies over everything; Esc leaves it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use jiff::Timestamp;

use super::{Command, clusters};
use crate::{
    app::{
        effect::{Code, Effect},
        model::Model,
        notes::Level,
    },
    problem::Problem,
    sources::{
        aws::login::{News, Prompt},
        kube::session,
    },
    store::stream::StreamState,
    ui::theme::Role,
    view::dialog::{Dialog, Focus, Line},
};

type Done = Result<Vec<Effect>, Problem>;

/// Codes of MFA devices have six digits; nobody's is longer than this.
const LONGEST: usize = 16;

/// What a person is asked on the way to credentials.
#[derive(Debug, Clone, PartialEq)]
pub enum SignIn {
    /// The code that an MFA device shows now.
    Code { question: Question, typed: Code },
    /// A browser has to confirm; nothing to show before the first answer.
    Browser(Option<Prompt>),
}

/// Whose code is wanted, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub profile: String,
    pub role: String,
    pub serial: String,
}

/// Wherever one is.
pub const COMMANDS: &[Command] = &[
    Command {
        id: "aws.login",
        keys: &["L"],
        words: &["login"],
        help: "Sign in by IAM Identity Center (SSO), in a browser of your own; among clusters as the row's profile",
        needs: "a context that signs in with AWS, or a row of :clusters that names a profile",
        when: |m| {
            let by_aws = m.facts.as_ref().is_some_and(|facts| matches!(facts.sign_in, session::SignIn::Eks(_)));
            by_aws || clusters::profile(m).is_some()
        },
        run: |m, _| {
            let profile = clusters::profile(m).map(str::to_owned);
            m.sign_in = Some(SignIn::Browser(None));
            m.dirty = true;
            Ok(vec![Effect::Login(profile)])
        },
        ..Command::BASE
    },
    Command {
        id: "aws.reload",
        words: &["reload", "credentials"],
        help: "Look for credentials anew, and ask again what was refused without them",
        run: |m, _| Ok(reload(m)),
        ..Command::BASE
    },
];

fn reload(model: &mut Model) -> Vec<Effect> {
    if model.facts.is_none() {
        // The fleet may wait for credentials too.
        return vec![Effect::Reload, Effect::Connect(None)];
    }
    model.info("looking for credentials …");
    vec![Effect::Reload]
}

/// A key while a question lies over the screen.
pub fn key(model: &mut Model, key: KeyEvent) -> Done {
    let control = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    if control && key.code == KeyCode::Char('c') {
        model.quit = Some(0);
        return Ok(vec![Effect::Save]);
    }
    let effects = match (&mut model.sign_in, key.code) {
        (Some(SignIn::Code { .. }), KeyCode::Esc) => answer(model, None),
        (Some(SignIn::Code { typed, .. }), KeyCode::Enter) => {
            let code = Some(typed.clone()).filter(|typed| !typed.0.is_empty());
            answer(model, code)
        }
        (Some(SignIn::Code { typed, .. }), KeyCode::Char(character))
            if !control && character.is_ascii_alphanumeric() && typed.0.len() < LONGEST =>
        {
            typed.0.push(character);
            Vec::new()
        }
        (Some(SignIn::Code { typed, .. }), KeyCode::Backspace) => {
            typed.0.pop();
            Vec::new()
        }
        (Some(SignIn::Browser(_)), KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | 'n')) => {
            model.sign_in = None;
            model.info("not signed in: left before the browser confirmed");
            vec![Effect::StopLogin]
        }
        (Some(SignIn::Browser(Some(prompt))), KeyCode::Char('c' | 'y')) => {
            let url = prompt.url.clone();
            model.info("copied the address");
            vec![Effect::Copy(url)]
        }
        _ => Vec::new(),
    };
    model.dirty = true;
    Ok(effects)
}

/// A pasted code: its letters and digits.
pub fn paste(model: &mut Model, text: &str) {
    if let Some(SignIn::Code { typed, .. }) = &mut model.sign_in {
        let room = LONGEST.saturating_sub(typed.0.len());
        typed.0.extend(text.chars().filter(char::is_ascii_alphanumeric).take(room));
    }
}

fn answer(model: &mut Model, code: Option<Code>) -> Vec<Effect> {
    model.sign_in = None;
    if code.is_none() {
        let what = Problem::new("no code was given").hint("`:reload` asks again");
        model.note(Level::Warning, what);
    }
    vec![Effect::Answer(code)]
}

/// How a sign-in in the browser goes on. One that was left says nothing any more.
pub fn heard(model: &mut Model, news: News) {
    if !matches!(model.sign_in, Some(SignIn::Browser(_))) {
        return;
    }
    match news {
        News::Confirm(prompt) => model.sign_in = Some(SignIn::Browser(Some(prompt))),
        News::Done => {
            model.sign_in = None;
            model.info("signed in");
        }
        News::Failed(problem) => {
            model.sign_in = None;
            model.note(Level::Error, problem);
        }
    }
    model.dirty = true;
}

/// Credentials were forgotten: what did without them is asked for again, by streams of its own.
pub fn reloaded(model: &mut Model) {
    let unwell = |state: &StreamState| {
        matches!(state, StreamState::Stale { .. } | StreamState::Forbidden(_) | StreamState::Off(_))
    };
    let gone = model.streams.leave_if(unwell);
    model.outbox.extend(gone.into_iter().map(Effect::Close));
    model.dirty = true;
}

/// What came of looking for credentials anew.
pub fn signed_in(model: &mut Model, outcome: Result<String, Problem>) {
    match outcome {
        Ok(whose) => model.info(format!("the server takes the credentials: {whose}")),
        Err(problem) => model.note(Level::Error, problem),
    }
}

/// What lies over the screen.
pub fn dialog(sign_in: &SignIn) -> Dialog {
    let line = |label, text: String| Line { label, role: Role::Text, text };
    match sign_in {
        SignIn::Code { question, typed } => Dialog {
            title: format!("code for profile {}", question.profile),
            lines: vec![
                line("device", question.serial.clone()),
                line("role", question.role.clone()),
                Line { label: "code", role: Role::Prompt, text: format!("{}▏", typed.0) },
            ],
            act: "sign in".to_owned(),
            key: Some("Enter"),
            focus: if typed.0.is_empty() { Focus::Cancel } else { Focus::Act },
            ..Dialog::default()
        },
        SignIn::Browser(None) => Dialog {
            title: "sign in".to_owned(),
            lines: vec![line("", "asking IAM Identity Center for a code …".to_owned())],
            ..Dialog::default()
        },
        SignIn::Browser(Some(prompt)) => {
            let until = Timestamp::from_second(prompt.until).unwrap_or_default().strftime("%H:%M UTC");
            Dialog {
                title: format!("sign in by profile {}", prompt.profile),
                place: prompt.start_url.clone(),
                lines: vec![
                    line("open", prompt.url.clone()),
                    Line { label: "code", role: Role::Accent, text: prompt.code.clone() },
                    line("", "confirm it in a browser, on any machine, if it shows the same code".to_owned()),
                    Line { label: "", role: Role::Dim, text: format!("waiting until {until}") },
                ],
                act: "copy the address".to_owned(),
                key: Some("c"),
                ..Dialog::default()
            }
        }
    }
}

#[cfg(test)]
mod tests;
