#![expect(clippy::single_range_in_vec_init, reason = "ranges are what is tested")]

use proptest::prelude::*;

use super::*;
use crate::store::value::{Health, Metric, Value};

const NOW: i64 = 1_000_000;
const COLUMNS: [(&str, &str); 9] = [
    ("namespace", "NAMESPACE"),
    ("name", "NAME"),
    ("status", "STATUS"),
    ("cpu", "CPU"),
    ("mem", "MEM"),
    ("%cpu", "%CPU/R"),
    ("age", "AGE"),
    ("nominated node", "NOMINATED NODE"),
    ("node*pool", "NODE*POOL"),
];

struct Pods;

impl Columns for Pods {
    fn find(&self, name: &str) -> Find {
        find_column(COLUMNS, name)
    }

    fn id(&self, index: usize) -> &str {
        COLUMNS[index].0
    }
}

fn parse(text: &str) -> Query {
    Query::parse(text, &Pods).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn fails(text: &str) -> QueryError {
    Query::parse(text, &Pods).expect_err(text)
}

/// The one test of a query.
fn test(text: &str) -> Test {
    let query = parse(text);
    assert_eq!(query.terms().len(), 1, "{text}");
    query.terms()[0].test.clone()
}

fn column_matches(text: &str, value: &Value<'_>) -> bool {
    let query = parse(text);
    let [Term { negated, test: Test::Column { test, .. } }] = query.terms() else { panic!("{text}: {query:?}") };
    test.matches(value, NOW) != *negated
}

#[test]
fn each_form_is_taken_for_what_it_is() {
    for (text, canonical) in [
        ("", ""),
        ("  api  web ", "api web"),
        ("API", "api"),
        ("!api", "!api"),
        ("!!api", "api"),
        (r#""two words""#, r#""two words""#),
        (r#""a \"b\" \\ c""#, r#""a \"b\" \\ c""#),
        (r#""open end"#, r#""open end""#),
        (r#""a"b"#, "a b"),
        ("api-7f9c.web", "api-7f9c.web"),
        ("<none>", r#""<none>""#),
        ("-x:y", r#""-x:y""#),
        ("a!b", r#""a!b""#),
        ("/var/lib", r#""/var/lib""#),
        ("^api", "/^api/"),
        ("!web|api", "!/web|api/"),
        ("(?:a|b)=c", "/(?:a|b)=c/"),
        ("/a b/ c", "/a b/ c"),
        (r"/a\/b/", r"/a\/b/"),
        ("^a/b", r"/^a\/b/"),
        (r"^a\/b", r"/^a\/b/"),
        ("-f web", "-f web"),
        ("!-f web", "!-f web"),
        (r#"-f "a b""#, r#"-f "a b""#),
        ("-fweb", r#""-fweb""#),
        ("app=web", "app=web"),
        ("app==web", "app=web"),
        ("!app=web", "!app=web"),
        ("app!=web", "app!=web"),
        ("app=", "app="),
        ("z=1,app!=web", "app!=web,z=1"),
        ("a.b/c=d x", "a.b/c=d x"),
        ("-l app", r#"-l "app""#),
        ("-l app web", r#"-l "app" web"#),
        ("-l a in (y, x),!b web", r#"-l "a in (x,y),!b" web"#),
        ("-l a = b , c!=d", "a=b,c!=d"),
        ("-l a !b", r#"-l "a" !b"#),
        (r#"-l "a=b,c" d"#, "a=b,c d"),
        ("!-l !app", r#"!-l "!app""#),
        ("status:run", "status:run"),
        ("status:Run,x", r#"status:"run,x""#),
        (r#"status:"a b""#, r#"status:"a b""#),
        ("status:^run", "status:/^run/"),
        ("status:/a b/", "status:/a b/"),
        ("status:", "status:"),
        (r#"status:"""#, "status:"),
        ("!status:", "!status:"),
        ("status:=Running", "status:=Running"),
        ("status:=", "status:"),
        ("name:a=b", r#"name:"a=b""#),
        ("STATUS:x", "status:x"),
        ("stat:x", "status:x"),
        ("%cpu/r>80%", "%cpu>80%"),
        ("nominated_node:x", "nominated-node:x"),
        ("nominated-node:x", "nominated-node:x"),
        (r#""nominated node":x"#, "nominated-node:x"),
        (r#""node*":x"#, r#""node*pool":x"#),
        ("cpu>100m", "cpu>100m"),
        ("cpu>=1.5", "cpu>=1.5"),
        ("!cpu>1", "cpu<=1"),
        ("!cpu<1", "cpu>=1"),
        ("age<2d4h x", "age<2d4h x"),
        ("!", ""),
        ("! api", "api"),
        ("-f", ""),
        ("-l ", ""),
        (r#"""#, ""),
    ] {
        assert_eq!(parse(text).to_string(), canonical, "{text}");
    }
}

#[test]
fn errors_point_at_their_place_and_name_the_way_out() {
    for (text, place, message, hint) in [
        ("api statuss:x", "statuss", "no column is named statuss", "status"),
        ("na:x", "na", "several columns begin with na", "namespace, name;"),
        ("12:30", "12", "no column is named 12", "quotes"),
        ("x cpu>", ">", "an amount is missing", "2d4h"),
        ("cpu>=", "=", "an amount is missing", "2d4h"),
        ("cpu>1Kb x", "1Kb", "1Kb is not an amount", "100m"),
        ("a (b", "(", "unclosed group", "quotes"),
        ("status:é[z-a]", "z-a", "invalid character class range", "quotes"),
        ("/a b(/", "(", "unclosed group", "quotes"),
        (r"/a\/b(/", "(", "unclosed group", "quotes"),
        (r"c\/\/ш\", r"\", "incomplete escape", "quotes"),
        ("x app=we*b", "we*b", "we*b cannot be a label's value", "/…/"),
        ("-l app in x", "x", "( should be here, not x", "kubectl"),
        ("-l app in", "n", "( is missing", "kubectl"),
        ("-l a=b,", ",", "a label's name is missing", "kubectl"),
        ("-l a=b)", ")", "a comma should be here, not )", "kubectl"),
        (r#"-l "a b" c"#, "b", "a comma should be here, not b", "kubectl"),
        ("-l -a", "-a", "-a cannot be a label's name", ""),
        ("-l a>x", "x", "x is not a whole number", ""),
    ] {
        let error = fails(text);
        assert_eq!(&text[error.range.clone()], place, "{text}: {error:?}");
        assert!(error.message.contains(message), "{text}: {error:?}");
        assert!(error.hint.contains(hint), "{text}: {error:?}");
    }
}

#[test]
fn names_find_columns() {
    assert_eq!(Pods.find("name"), Find::One(1));
    assert_eq!(Pods.find("Nominated Node"), Find::One(7));
    assert_eq!(Pods.find("nom"), Find::One(7));
    assert_eq!(Pods.find("%cpu/r"), Find::One(5));
    assert_eq!(Pods.find("no"), Find::Ambiguous(vec!["nominated-node".into(), "node*pool".into()]));
    assert_eq!(Pods.find("stauts"), Find::None(vec!["status".into()]));
    assert_eq!(Pods.find("nmae"), Find::None(vec!["name".into()]));
    assert_eq!(Pods.find("quite-another"), Find::None(vec![]));
}

#[test]
fn words_match_both_cases_and_show_where() {
    let matcher = Matcher::word("aPi").unwrap();
    for (text, ranges) in [
        ("api", vec![0..3]),
        ("my-API-api", vec![3..6, 7..10]),
        ("apapi", vec![2..5]),
        ("éAPI", vec![2..5]),
        ("ap", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(matcher.ranges(text), ranges, "{text}");
        assert_eq!(matcher.matches(text), !ranges.is_empty(), "{text}");
    }
    assert_eq!(Matcher::word("É").unwrap().ranges("aÉé"), [1..3]);
    assert_eq!(Matcher::regex("b+|").unwrap().ranges("aBbcb"), [1..3, 4..5]);
    assert!(Matcher::word("").is_none());
}

#[test]
fn fuzzy_needs_the_order_and_prefers_what_is_close() {
    let fuzzy = Fuzzy::new("aPd").unwrap();
    assert!(!fuzzy.matches("dpa"));
    assert!(!fuzzy.matches("ap"));
    assert_eq!(fuzzy.ranges("a-PaymenD"), [0..1, 2..3, 8..9]);
    assert_eq!(fuzzy.ranges("axapd"), [2..3, 3..4, 4..5]);
    assert_eq!(Fuzzy::new("éa").unwrap().ranges("xéba"), [1..3, 4..5]);
}

#[test]
fn comparisons_read_the_amount_as_the_value_needs() {
    let age = |seconds| Value::Since(NOW - seconds);
    for (text, value, expected) in [
        ("cpu>100m", Value::Cpu(101), true),
        ("cpu>100m", Value::Cpu(100), false),
        ("cpu>=350m", Value::Cpu(350), true),
        ("cpu<=0.35", Value::Cpu(350), true),
        ("cpu>1", Value::Cpu(1001), true),
        ("mem>=1.5Gi", Value::Memory(1_610_612_736), true),
        ("mem>=1.5Gi", Value::Memory(1_610_612_735), false),
        ("mem<1k", Value::Memory(999), true),
        ("age<3h", age(3 * 3600 - 1), true),
        ("age<3h", age(3 * 3600), false),
        ("age>2d4h", age(187_201), true),
        ("age>100m", age(6001), true),
        ("age>100m", age(6000), false),
        ("age>90", age(91), true),
        ("age>1k", age(5000), false),
        ("age<=1h", Value::Span(3600), true),
        ("%cpu>80", Value::Percent(Metric::Cpu, 80.1), true),
        ("%cpu>=80.1%", Value::Percent(Metric::Cpu, 80.1), true),
        ("cpu>80%", Value::Cpu(90_000), false),
        ("cpu<80%", Value::Cpu(1), false),
        ("cpu>3h", Value::Cpu(90_000_000), false),
        ("name>5", Value::Int(6), true),
        ("name>5", Value::Ratio(6, 7), true),
        ("name>5", Value::text("6"), true),
        ("name>5m", Value::text("6m1s"), true),
        ("name>50%", Value::text("60%"), true),
        ("name>5", Value::text("six"), false),
        // What is unknown is neither above nor below, even turned round.
        ("cpu>1", Value::Unknown, false),
        ("!cpu>1", Value::Unknown, false),
        ("cpu<1", Value::Unknown, false),
        ("!cpu<1", Value::Unknown, false),
        ("!cpu>1", Value::Cpu(500), true),
    ] {
        assert_eq!(column_matches(text, &value), expected, "{text} {value:?}");
    }
}

#[test]
fn cells_are_tested_as_they_read() {
    let running = Value::Status(Health::Ok, "Running".into());
    for (text, value, expected) in [
        ("status:run", &running, true),
        ("status:^run$", &running, false),
        ("status:ning$", &running, true),
        ("!status:run", &running, false),
        ("status:=running", &running, true),
        ("status:=run", &running, false),
        ("name:2/", &Value::Ratio(2, 3), true),
        ("age:3h", &Value::Since(NOW - 3 * 3600), true),
        ("cpu:=0.1", &Value::Cpu(100), true),
        ("cpu:=100m", &Value::Cpu(100), true),
        ("mem:=1.2Gi", &Value::Memory(1_288_490_188), true),
        ("cpu:=1", &Value::Cpu(100), false),
        ("status:x", &Value::Unknown, false),
        ("!status:x", &Value::Unknown, true),
        ("status:=–", &Value::Unknown, false),
        ("status:", &Value::Unknown, true),
        ("status:", &Value::none(), true),
        ("status:", &Value::text(""), true),
        ("status:", &running, false),
        ("!status:", &running, true),
        ("cpu:", &Value::Cpu(0), false),
    ] {
        assert_eq!(column_matches(text, value), expected, "{text} {value:?}");
    }
}

#[test]
fn a_query_that_grew_needs_only_its_hits() {
    for (old, new, extends) in [
        ("", "a", true),
        ("ap", "api", true),
        ("ap", "xap", true),
        ("ap", "ap web", true),
        ("ap", "api !web", true),
        ("status:ru", "status:run", true),
        ("-f ab", "-f acb", true),
        ("cpu>1 a", "cpu>1 ab", true),
        ("api", "ap", false),
        ("!a", "!ab", false),
        ("!a", "a", false),
        ("^a", "^ab", false),
        ("a", "^a", false),
        ("cpu>1", "cpu>10", false),
        ("a=b", "a=bc", false),
        ("status:ru", "name:run", false),
        ("a b", "a", false),
        ("-f ab", "-f ba", false),
    ] {
        assert_eq!(parse(new).extends(&parse(old)), extends, "{old} → {new}");
    }
}

#[test]
fn highlights_are_merged_and_belong_to_their_column() {
    let query = parse("web eb-a status:x !api -f wz");
    assert_eq!(query.highlights(1, "my-web-apix"), [3..8]);
    assert_eq!(query.highlights(2, "x"), [0..1]);
    assert_eq!(query.highlights(1, "wz"), [0..2]);
}

/// From `selector_test.go` of apimachinery.
#[test]
fn selectors_mean_what_kubectl_means() {
    for (text, shown) in [
        ("", ""),
        ("x=a,y=b,z=c", "x=a,y=b,z=c"),
        ("x!=a,y=b", "x!=a,y=b"),
        ("x= ,z= ", "x=,z="),
        ("!x", "!x"),
        ("x>1,z<5", "x>1,z<5"),
        ("b,a", "a,b"),
        ("this-is-a-dns.domain.com/key-with-dash", "this-is-a-dns.domain.com/key-with-dash"),
        ("x in ()", "x in ()"),
        ("x in (abc),y", "x in (abc),y"),
        ("x notin (def,abc,def)", "x notin (abc,def)"),
        ("x in (,a,)", "x in (,a)"),
        ("x in (a,,b)", "x in (,a,b)"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("notin=in", "notin=in"),
        (" \tx  notin\t( a ) ", "x notin (a)"),
        ("x == a", "x=a"),
    ] {
        assert_eq!(Selector::parse(text).unwrap().to_string(), shown, "{text}");
    }
    for text in [
        "x=a||y=b",
        "x==a==b",
        "!x=a",
        "x<a",
        "x,,y",
        ",x",
        "x,",
        "x=a,",
        "x y",
        "x in a",
        "x in (a",
        "x in (a b)",
        "x in (a=b)",
        "-x=a",
        "x=-a",
        "X/y=a",
        "a/b/c=d",
        "/b=d",
        "x=é",
        "x ! = a",
        "=a",
        "!",
        "x>",
        "x>-1",
        "x in",
        "x in (a))",
        "!x in (a)",
    ] {
        assert!(Selector::parse(text).is_err(), "{text}");
    }
    let long = "a".repeat(64);
    assert!(Selector::parse(&long).is_err() && Selector::parse(&format!("x={long}")).is_err());

    let labels = |key: &str| match key {
        "x" => Some("z"),
        "n" => Some("2"),
        "empty" => Some(""),
        _ => None,
    };
    for (text, expected) in [
        ("", true),
        ("x=z", true),
        ("x=Z", false),
        ("y=", false),
        ("empty=", true),
        ("y!=z", true),
        ("x!=z", false),
        ("x!=z,n", false),
        ("x in (a,z)", true),
        ("y in ()", false),
        ("y notin (a)", true),
        ("x notin (z)", false),
        ("x,n,!y", true),
        ("!x", false),
        ("n>1,n<3", true),
        ("n>2", false),
        ("x>1", false),
        ("y<1", false),
    ] {
        assert_eq!(Selector::parse(text).unwrap().matches(labels), expected, "{text}");
    }
    let Test::Labels(selector) = test("-l x in (a,z), !y") else { panic!() };
    assert!(selector.matches(labels));
}

fn any_term() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-z0-9.-]{1,6}",
        "\"(\\PC|\\\\\"){0,8}\"",
        "[a-c^$*+?.()|\\\\/\\[\\]]{1,6}",
        "/[a-c/ \\\\(|)]{0,6}/"
    ];
    let amount = "[0-9]{1,3}(m|Gi|s|h|d|%|)";
    let column = prop_oneof![
        Just("name".to_owned()),
        Just("nominated-node".to_owned()),
        Just("\"node*pool\"".to_owned()),
        Just("%CPU".to_owned()),
        Just("sta".to_owned()),
    ];
    let selector = prop_oneof![
        "[a-c]{1,2}(=|==|!=)[a-c0-9]{0,2}(,[d-f](=|!=)x)?",
        "-l [a-c]( in | notin )\\([a-c,]{0,4}\\)(,![d-f])?",
        "-l !?[a-c]{1,2}(,[a-c]>[0-9])?",
        "-l \"[a-c]{1,2}=\"",
    ];
    let test = prop_oneof![
        4 => text.clone(),
        1 => text.clone().prop_map(|text| format!("-f {text}")),
        2 => selector,
        2 => (column.clone(), prop_oneof![Just(":"), Just(":=")], text).prop_map(|(name, sign, text)| name + sign + &text),
        2 => (column, prop_oneof![Just(">"), Just(">="), Just("<"), Just("<=")], amount).prop_map(|(name, sign, amount)| name + sign + &amount),
    ];
    ("!{0,2}", test).prop_map(|(negation, test)| negation + &test)
}

/// What has to hold for any input: no panic, an error inside the input, and a print that means the same.
fn holds(text: &str) -> Result<(), TestCaseError> {
    match Query::parse(text, &Pods) {
        Ok(query) => {
            let printed = query.to_string();
            let again = Query::parse(&printed, &Pods);
            prop_assert_eq!(again.as_ref(), Ok(&query), "printed {}", printed);
            prop_assert!(query.extends(&query));
            for range in query.highlights(1, text) {
                prop_assert!(text.get(range.clone()).is_some_and(|part| !part.is_empty()), "{:?}", range);
            }
        }
        Err(error) => {
            let place = text.get(error.range.clone());
            prop_assert!(place.is_some_and(|place| !place.is_empty()), "{:?}", error);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn printing_and_parsing_agree(terms in prop::collection::vec(any_term(), 0..5)) {
        holds(&terms.join(" "))?;
    }

    #[test]
    fn no_input_panics(text in ".*") {
        holds(&text)?;
    }

    #[test]
    fn no_input_of_our_own_characters_panics(text in "[-a-cfl:=<>!/\"\\\\()|{},.%é \t0-9]{0,24}") {
        holds(&text)?;
    }

    /// A word finds what a naive search finds, and so do the rows that are left after typing on.
    #[test]
    fn words_find_what_is_there(needle in "[a-bA-B]{1,3}", text in "[a-bA-Bé-]{0,12}") {
        let matcher = Matcher::word(&needle).unwrap();
        let expected = text.to_ascii_lowercase().contains(&needle.to_ascii_lowercase());
        prop_assert_eq!(matcher.matches(&text), expected);
        for range in matcher.ranges(&text) {
            prop_assert!(text[range].eq_ignore_ascii_case(&needle));
        }
    }
}
