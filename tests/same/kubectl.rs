//! The commands of `kubectl.txt`, run against two servers.

use std::fmt::Write as _;

use regex::Regex;

use super::Plain;
use crate::rig::Rig;

#[derive(Default)]
struct Command {
    arguments: Vec<String>,
    input: String,
    only_code: bool,
}

/// Words as a shell takes them apart, with single quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            letter => word.push(letter),
        }
    }
    words.push(word);
    words
}

fn parse(text: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for line in text.lines() {
        match (line.split_at_checked(2), commands.last_mut()) {
            (Some(("$ ", line)), _) => commands.push(Command { arguments: words(line), ..Command::default() }),
            (Some(("  ", line)), Some(command)) => command.input = format!("{}{line}\n", command.input),
            (Some(("! ", reason)), Some(command)) if !reason.is_empty() => command.only_code = true,
            _ => {}
        }
    }
    commands
}

/// Runs every command on both; tells what was said differently.
pub fn compare(text: &str, plain: &Plain, servers: [&Rig; 2]) -> String {
    let age = Regex::new(r"\b(\d+[smhdy])+\b").expect("a pattern");
    let spaces = Regex::new(r"[ \t]+").expect("a pattern");
    let mut told = String::new();
    let commands = parse(text);
    for command in &commands {
        let arguments: Vec<&str> = command.arguments.iter().map(String::as_str).collect();
        let [real, own] = servers.map(|rig| {
            let output = rig.kubectl(&arguments, &command.input);
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let said = plain.text(&said);
            let said = spaces.replace_all(&age.replace_all(&said, "AGE"), " ").into_owned();
            (output.status.code(), if command.only_code { String::new() } else { said })
        });
        if real != own {
            let _ = writeln!(told, "kubectl {}\n  {real:?}\n  {own:?}", arguments.join(" "));
        }
    }
    println!("{} kubectl commands", commands.len());
    told
}
