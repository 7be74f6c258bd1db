//! Parameters of calls, whichever protocol they came by: forms become trees, texts become numbers where numbers are meant.

use serde_json::{Map, Value};

use super::answer::Failure;

/// The tree behind the flat names of a form: `Filters.member.1.Name` and EC2's `Filter.1.Name`. Numbers count from 1.
pub fn tree(pairs: impl IntoIterator<Item = (String, String)>) -> Value {
    let mut root = Value::Object(Map::new());
    for (name, value) in pairs {
        put(&mut root, &name, value);
    }
    dense(root)
}

fn put(root: &mut Value, name: &str, value: String) {
    let mut at = root;
    for part in name.split('.').filter(|part| *part != "member") {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Some(fields) = at.as_object_mut() else { return };
        at = fields.entry(part).or_insert(Value::Null);
    }
    *at = value.into();
}

/// Objects whose names are all numbers are lists.
fn dense(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let numbered = |name: &String| name.parse::<u32>().is_ok();
    if fields.is_empty() || !fields.keys().all(numbered) {
        return Value::Object(fields.into_iter().map(|(name, value)| (name, dense(value))).collect());
    }
    let mut entries: Vec<_> = fields.into_iter().map(|(name, value)| (name.parse::<u32>().ok(), value)).collect();
    entries.sort_by_key(|(number, _)| *number);
    Value::Array(entries.into_iter().map(|(_, value)| dense(value)).collect())
}

/// A text; empty where there is none.
pub fn text<'a>(input: &'a Value, name: &str) -> &'a str {
    input[name].as_str().unwrap_or_default()
}

/// The texts of a list.
pub fn texts<'a>(input: &'a Value, name: &str) -> Vec<&'a str> {
    input[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A number, as number or as text.
pub fn number(input: &Value, name: &str) -> Option<u32> {
    let value = &input[name];
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.and_then(|number| u32::try_from(number).ok())
}

pub fn is_true(input: &Value, name: &str) -> bool {
    input[name] == true || input[name] == "true"
}

/// Name and values of each filter, whatever the list is called.
pub fn filters(input: &Value) -> Vec<(&str, Vec<&str>)> {
    let list = ["Filters", "Filter"].into_iter().find_map(|name| input[name].as_array());
    let values = |filter| [texts(filter, "Values"), texts(filter, "Value")].concat();
    list.into_iter().flatten().map(|filter| (text(filter, "Name"), values(filter))).collect()
}

/// One page of a list, and the token of the next. `size` is what the client asked for, within the service's bounds.
pub fn page<T>(all: Vec<T>, size: usize, token: &str) -> Result<(Vec<T>, Option<String>), Failure> {
    let from = match token {
        "" => 0,
        token => token.strip_prefix("page-").and_then(|from| from.parse().ok()).ok_or_else(Failure::bad_token)?,
    };
    let next = from + size;
    let token = (next < all.len()).then(|| format!("page-{next}"));
    Ok((all.into_iter().skip(from).take(size).collect(), token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_become_trees() {
        let pairs = [
            ("AutoScalingGroupNames.member.2", "b"),
            ("AutoScalingGroupNames.member.1", "a"),
            ("Filter.1.Name", "tag:x"),
            ("Filter.1.Value.1", "owned"),
            ("Filter.1.Value.10", "shared"),
            ("Filter.1.Value.2", "else"),
            ("MaxRecords", "50"),
        ];
        let tree = tree(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(tree["AutoScalingGroupNames"], json!(["a", "b"]));
        assert_eq!(filters(&tree), [("tag:x", vec!["owned", "else", "shared"])]);
        assert_eq!(number(&tree, "MaxRecords"), Some(50));
    }

    #[test]
    fn pages_follow_each_other() {
        let all: Vec<_> = (0..5).collect();
        let (first, next) = page(all.clone(), 2, "").unwrap();
        assert_eq!(first, [0, 1]);
        let (second, next) = page(all.clone(), 2, &next.unwrap()).unwrap();
        assert_eq!(second, [2, 3]);
        assert_eq!(page(all.clone(), 2, &next.unwrap()).unwrap(), (vec![4], None));
        assert!(page(all, 2, "nonsense").is_err());
    }
}
