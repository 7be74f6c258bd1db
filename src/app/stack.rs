//! The views that lie on each other, the top one on screen. It counts how often the user went somewhere, so that an
//! answer that comes late does not take the screen from whatever they went to.

use std::ops::{Deref, DerefMut};

use crate::view::View;

#[derive(Default)]
pub struct Stack {
    views: Vec<View>,
    moves: u64,
}

/// Where the user was when something was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u64);

impl Stack {
    pub fn push(&mut self, view: View) {
        self.moves += 1;
        self.views.push(view);
    }

    /// Leaves the top view; the last one stays.
    pub fn leave(&mut self) {
        if self.views.len() > 1 {
            self.moves += 1;
            self.views.pop();
        }
    }

    pub fn clear(&mut self) {
        self.moves += 1;
        self.views.clear();
    }

    /// Takes out the views that are not wanted; true where there were any.
    pub fn retain(&mut self, wanted: impl FnMut(&View) -> bool) -> bool {
        let before = self.views.len();
        self.views.retain(wanted);
        let fewer = self.views.len() < before;
        self.moves += u64::from(fewer);
        fewer
    }

    /// Where the user is: another place after each move.
    pub fn place(&self) -> Place {
        Place(self.moves)
    }
}

impl Deref for Stack {
    type Target = [View];

    fn deref(&self) -> &[View] {
        &self.views
    }
}

impl DerefMut for Stack {
    fn deref_mut(&mut self) -> &mut [View] {
        &mut self.views
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyCode;
    use serde_json::json;

    use crate::{
        app::{effect::Effect, scripted::Script, update},
        config::settings::Config,
        sources::{
            Message,
            kube::{discovery::Served, fetch::Answer},
        },
        ui::theme::ColorDepth,
    };

    /// What is on top after somebody asked for the YAML of a pod, did something, and the answer came.
    fn on_top_after(act: impl FnOnce(&mut Script)) -> String {
        let mut script = Script::populated(Config::default(), ColorDepth::True);
        let asked = script.press(&[KeyCode::Char('y')]);
        let [Effect::Fetch { ticket, .. }] = asked[..] else { panic!("{asked:?}") };
        act(&mut script);
        let object = json!({ "kind": "Pod", "metadata": { "name": "a" } });
        update::message(&mut script.model, Message::Fetched { ticket, answer: Answer::Object(Ok(object)) });
        script.model.views.last().map_or("", |view| view.crumb()).to_owned()
    }

    #[test]
    fn a_late_answer_leaves_the_screen_to_who_went_elsewhere() {
        assert!(on_top_after(|_| ()).starts_with("pods("));
        let stays = |script: &mut Script| drop(script.press(&[KeyCode::Char('j')]));
        assert!(on_top_after(stays).starts_with("pods("), "a row further is no other place");
        assert_eq!(on_top_after(|script| script.show("nodes")), "nodes");
        assert_eq!(on_top_after(|script| script.command("view.help")), "help");
        let back = |script: &mut Script| {
            script.command("view.help");
            script.command("view.back");
        };
        assert_eq!(on_top_after(back), "pods", "there and back is a way too");
        assert_eq!(on_top_after(|script| script.command("table.filter")), "pods", "what is typed is for the table");
    }

    #[test]
    fn a_kind_that_discovery_had_to_name_leaves_the_screen_to_who_went_elsewhere() {
        let crumb = |go: bool| {
            let mut script = Script::new(Config::default(), ColorDepth::True);
            script.show("pods");
            let kinds: Vec<_> = script.model.world.kinds().map(|(_, info)| info.clone()).collect();
            let mut widgets = kinds.iter().find(|info| info.plural == "deployments").expect("a kind").clone();
            widgets.plural = "widgets".into();
            script.show("widgets");
            if go {
                script.show("nodes");
            }
            let served = Served { kinds: kinds.into_iter().chain([widgets]).collect(), silent: Vec::new() };
            update::message(&mut script.model, Message::Served(Ok(served)));
            script.model.views.last().map_or("", |view| view.crumb()).to_owned()
        };
        assert_eq!([crumb(false), crumb(true)], ["widgets", "nodes"]);

        // Nor does a first view that cannot be shown wait for what the cluster before was asked.
        let mut script = Script::new(Config::default(), ColorDepth::True);
        script.show("widgets");
        let facts = script.model.facts.clone().expect("a context");
        script.model.enter_context(facts, None);
        script.model.config.start.view = "theme none".into();
        crate::command::line::show_first(&mut script.model, false);
        assert_eq!(script.model.views.last().map(crate::view::View::crumb), Some("pods"));
    }
}
