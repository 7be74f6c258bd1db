//! Keys in, effects out; and what lies over the screen.

use super::*;
use crate::{
    app::{
        scripted::Script,
        update::{self, Input},
    },
    config::settings::Config,
    kinds::{HasId, pod::Pod},
    sources::Message,
    ui::theme::ColorDepth,
};

fn script() -> Script {
    let mut script = Script::new(Config::default(), ColorDepth::True);
    script.model.facts.as_mut().unwrap().sign_in = session::SignIn::Eks("profile work".to_owned());
    script.show("pods");
    script
}

fn asked() -> Script {
    let mut script = script();
    let (profile, role) = ("work".to_owned(), "arn:aws:iam::1:role/Admin".to_owned());
    let question = Question { profile, role, serial: "arn:aws:iam::1:mfa/me".to_owned() };
    script.model.sign_in = Some(SignIn::Code { question, typed: Code::default() });
    script
}

fn type_text(script: &mut Script, text: &str) {
    let keys: Vec<KeyCode> = text.chars().map(KeyCode::Char).collect();
    assert_eq!(script.press(&keys), [], "nothing is sent by typing");
}

fn lines(script: &Script) -> String {
    let dialog = dialog(script.model.sign_in.as_ref().unwrap());
    let lines: Vec<String> = dialog.lines.iter().map(|line| format!("{} {}", line.label, line.text)).collect();
    lines.join("\n")
}

fn prompt() -> Prompt {
    Prompt {
        profile: "work".to_owned(),
        start_url: "https://corp.awsapps.com/start".to_owned(),
        url: "https://device.sso/?user_code=ABCD-EFGH".to_owned(),
        code: "ABCD-EFGH".to_owned(),
        until: 1_772_370_000,
    }
}

fn last_note(script: &Script) -> String {
    script.model.notes.last().map(|note| note.problem.to_string()).unwrap_or_default()
}

#[test]
fn a_code_is_typed_and_sent_by_enter() {
    let mut script = asked();
    assert!(lines(&script).contains("device arn:aws:iam::1:mfa/me") && lines(&script).contains("role/Admin"));
    // Keys that mean something elsewhere are letters here, or nothing.
    type_text(&mut script, "12 3q45");
    script.press(&[KeyCode::Backspace, KeyCode::Backspace]);
    update::input(&mut script.model, Input::Paste(" 4 56\n".to_owned()));
    assert!(lines(&script).contains("code 123q456"), "{}", lines(&script));
    let effects = script.press(&[KeyCode::Enter]);
    assert_eq!(effects, [Effect::Answer(Some(Code("123q456".to_owned())))]);
    assert_eq!(script.model.sign_in, None);
    assert!(!format!("{effects:?}").contains("456"), "codes are not for logs");
}

#[test]
fn who_gives_no_code_is_told_how_to_be_asked_again() {
    for key in [KeyCode::Esc, KeyCode::Enter] {
        let mut script = asked();
        assert_eq!(script.press(&[key]), [Effect::Answer(None)]);
        assert!(last_note(&script).contains("`:reload` asks again"), "{}", last_note(&script));
    }
}

#[test]
fn a_browser_signs_in_and_all_is_tried_again() {
    let mut script = script();
    let problem = Problem::new("profile work is not signed in");
    let stale = StreamState::Stale { since: 0, retry: 0, why: problem, passing: false };
    script.state(Pod::ID, &stale, false);
    assert_eq!(script.press(&[KeyCode::Char('L')]), [Effect::Login(None)]);
    assert!(lines(&script).contains("asking IAM Identity Center"));
    update::message(&mut script.model, Message::Login(News::Confirm(prompt())));
    for words in ["open https://device.sso/?user_code=ABCD-EFGH", "code ABCD-EFGH", "waiting until 13:00 UTC"] {
        assert!(lines(&script).contains(words), "{words} in {}", lines(&script));
    }
    assert_eq!(script.press(&[KeyCode::Char('c')]), [Effect::Copy("https://device.sso/?user_code=ABCD-EFGH".into())]);
    update::message(&mut script.model, Message::Login(News::Done));
    assert_eq!(script.model.sign_in, None);
    update::message(&mut script.model, Message::Reloaded);
    let closed: Vec<_> = script.model.outbox.drain(..).collect();
    assert!(matches!(closed[..], [Effect::Close(_)]), "{closed:?}");
    let opened = script.model.plan_streams();
    assert!(opened.iter().any(|effect| matches!(effect, Effect::Open(_, want) if want.kind == Pod::ID)), "{opened:?}");
}

#[test]
fn a_sign_in_that_was_left_says_nothing_any_more() {
    let mut script = script();
    script.press(&[KeyCode::Char('L')]);
    assert_eq!(script.press(&[KeyCode::Esc]), [Effect::StopLogin]);
    for news in [News::Confirm(prompt()), News::Done, News::Failed(Problem::new("too late"))] {
        update::message(&mut script.model, Message::Login(news));
        assert_eq!(script.model.sign_in, None);
    }
    assert!(last_note(&script).contains("not signed in"), "{}", last_note(&script));
    script.press(&[KeyCode::Char('L')]);
    update::message(&mut script.model, Message::Login(News::Failed(Problem::new("it was refused"))));
    assert_eq!((script.model.sign_in.is_none(), &*last_note(&script)), (true, "it was refused"));
}

#[test]
fn without_eks_there_is_nothing_to_sign_in_to_but_credentials_can_be_reloaded() {
    let mut script = script();
    script.model.facts.as_mut().unwrap().sign_in = session::SignIn::Token;
    let why = "does nothing here: it wants a context that signs in with AWS";
    assert_eq!(script.press(&[KeyCode::Char('L')]), []);
    assert!(last_note(&script).starts_with(&format!("shift-l {why}")), "{}", last_note(&script));
    let problem = crate::command::line::run(&mut script.model, "login").unwrap_err().to_string();
    assert!(problem.starts_with(&format!(":login {why}")), "{problem}");
    assert_eq!(crate::command::line::run(&mut script.model, "reload").unwrap(), [Effect::Reload]);
    script.model.facts = None;
    assert_eq!(
        crate::command::line::run(&mut script.model, "reload").unwrap(),
        [Effect::Reload, Effect::Connect(None)]
    );
}
