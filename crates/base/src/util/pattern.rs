//! Patterns as shells have them, for names in settings.

/// Whether a text is what the pattern says, whatever the case: `*` for any letters, `?` for one.
pub fn matches(pattern: &str, text: &str) -> bool {
    let letters = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    matches_letters(&letters(pattern), &letters(text))
}

fn matches_letters(pattern: &[char], text: &[char]) -> bool {
    // The last star and what it has swallowed so far: the only thing ever to try again.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, swallowed)) => {
                    star = Some((at, swallowed + 1));
                    p = at + 1;
                    t = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|letter| *letter == '*')
}
