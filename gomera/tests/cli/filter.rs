//! `gomera filter`, by running the program.

use crate::program::{Ended, gomera};

fn check(arguments: &[&str]) -> Ended {
    gomera(&[&["filter", "check"], arguments].concat(), "")
}

fn eval(arguments: &[&str], input: &str) -> Ended {
    gomera(&[&["filter", "eval"], arguments].concat(), input)
}

#[test]
fn check_prints_the_canonical_form() {
    let ended = check(&["type='road' and (speed<20)"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "type = 'road' AND speed < 20\n"));
    let json = check(&["--json", "$far > distance(at, point(1, 2))"]);
    assert_eq!(
        json.json(),
        serde_json::json!({
            "filter": "$far > DISTANCE(at, POINT(1.0, 2.0))",
            "attributes": ["at"],
            "context": ["far"],
            "hints": [],
        })
    );
}

#[test]
fn check_tells_what_is_read_and_what_may_be_a_slip_beside_the_filter() {
    let ended = check(&["type = \"road\" and co2-ppm > $limit"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "type = road AND co2 - ppm > $limit\n"));
    for expected in ["it reads co2, ppm, road, type, $limit", "hint: road is the name of an attribute", "\"co2-ppm\""] {
        assert!(ended.err.contains(expected), "{expected}: {}", ended.err);
    }
    let json = check(&["--json", "speed < '20'"]).json();
    assert!(json["hints"][0].as_str().is_some_and(|hint| hint.contains("'20' is a text")), "{json}");
}

#[test]
fn a_wrong_filter_is_shown_with_a_caret_under_the_place() {
    for ended in [check(&["speed < 20 AND"]), eval(&["speed < 20 AND"], "")] {
        assert_eq!((ended.code, ended.out.as_str()), (65, ""));
        let lines: Vec<_> = ended.err.lines().collect();
        assert_eq!(lines[1..], ["speed < 20 AND", "              ^"]);
        assert!(lines[0].contains("column 15"), "{}", lines[0]);
    }
    let json = check(&["--json", "speed <\n ! 20"]);
    assert_eq!(json.code, 65);
    let value = json.json();
    assert_eq!(
        (value["offset"].as_u64(), value["line"].as_u64(), value["column"].as_u64()),
        (Some(9), Some(2), Some(2))
    );
}

#[test]
fn explain_tells_access_residual_and_cost() {
    let explain = |arguments: &[&str]| gomera(&[&["filter", "explain"], arguments].concat(), "");
    let plain = explain(&["type='road' and speed < 20"]);
    assert_eq!(plain.code, 0, "{}", plain.err);
    let lines: Vec<_> = plain.out.lines().collect();
    assert_eq!(lines[..2], ["type = 'road' AND speed < 20", "  found by    type = 'road'"]);
    assert!(plain.out.contains("charged     3.0ns") && !plain.out.contains("costliest"), "{}", plain.out);
    let costly = explain(&["speed < 20 AND note LIKE '%a_b%' OR MATCHES(note, 'x+')"]);
    for expected in [
        "  found by    speed < 20",
        "  evaluated   note LIKE '%a_b%'",
        "  found by    note IS NOT NULL",
        "  evaluated   MATCHES(note, 'x+')",
        "costliest   note LIKE '%a_b%': 100.",
        "without `_`",
    ] {
        assert!(costly.out.contains(expected), "{expected}: {}", costly.out);
    }
    let json = explain(&["--json", "alarm IS NULL OR id IN ('a', 'b')"]).json();
    assert_eq!(json["alternatives"][0]["access"], serde_json::Value::Null, "{json}");
    assert_eq!(json["alternatives"][1]["access"], "id IN ('a', 'b')", "{json}");
    assert_eq!(json["alternatives"][1]["keys"], 2, "{json}");
    // Nothing leads to what lacks an attribute, which words decide: 3, 18 and 5 more; two keys lead to the rest, the second for 1.
    assert_eq!(json["charged_nanoseconds"], 30, "{json}");
    assert!(json["admitted"].as_u64().is_some_and(|admitted| admitted > 500_000), "{json}");
    assert!(explain(&["1 = 2"]).out.contains("nothing satisfies it"));
    let wrong = explain(&["speed < 20 AND"]);
    assert_eq!((wrong.code, wrong.out.as_str()), (65, ""));
    let wrong = explain(&["--json", "speed < 20 AND"]);
    assert_eq!((wrong.code, wrong.json()["column"].as_u64()), (65, Some(15)));
}

#[test]
fn eval_answers_one_word_a_line() {
    let input = "{\"speed\":12}\n\n{\"speed\":30,\"x\":null}\n{\"other\":1}\n";
    let ended = eval(&["speed < 20"], input);
    assert_eq!((ended.code, ended.out.as_str()), (0, "true\nfalse\nunknown\n"), "{}", ended.err);
    let json = eval(&["--json", "speed < 20"], input);
    assert_eq!(json.out.lines().next(), Some(r#"{"line":1,"result":"true"}"#));
    assert_eq!(json.out.lines().last(), Some(r#"{"line":4,"result":"unknown"}"#));
}

#[test]
fn the_context_is_what_filters_see_behind_the_dollar() {
    let filter = "DISTANCE(at, $here) < $far";
    let context = r#"{"here":{"type":"Point","coordinates":[-3.81,43.46]},"far":500}"#;
    let input = r#"{"at":{"type":"Point","coordinates":[-3.812,43.461]}}"#;
    assert_eq!(eval(&[filter, "--context", context], input).out, "true\n");
    assert_eq!(eval(&[filter], input).out, "unknown\n");
    for (wrong, words) in [("{", "--context"), ("[1]", "must be a JSON object"), (r#"{"$far":1}"#, "it is `far`")] {
        let wrong = eval(&[filter, "--context", wrong], input);
        assert_eq!(wrong.code, 65);
        assert!(wrong.err.contains("--context") && wrong.err.contains(words), "{}", wrong.err);
    }
}

#[test]
fn a_bad_line_is_named_after_the_good_ones_were_answered() {
    let ended = eval(&["a = 1"], "{\"a\":1}\n\n{\"a\":\n{\"a\":1}\n");
    assert_eq!((ended.code, ended.out.as_str()), (65, "true\n"));
    assert!(ended.err.contains("line 3, column"), "{}", ended.err);
    let reserved = eval(&["a = 1"], "{\"gomera.time\":1}\n");
    assert_eq!(reserved.code, 65);
    assert!(reserved.err.contains("line 1") && reserved.err.contains("reserved"), "{}", reserved.err);
    let long = eval(&["a = 1"], &format!("{{\"a\":\"{}\"}}\n", "x".repeat(1_100_000)));
    assert_eq!(long.code, 65);
    assert!(long.err.contains("line 1 has more than 1048576 bytes"), "{}", long.err);
}

#[test]
fn a_command_line_without_sense_is_64_and_help_is_0() {
    for arguments in
        [&["filter"][..], &["filter", "check"], &["filter", "eval", "a = 1", "--contxt", "{}"], &["nonsense"], &[]]
    {
        assert_eq!(gomera(arguments, "").code, 64, "{arguments:?}");
    }
    let help = gomera(&["filter", "eval", "--help"], "");
    assert_eq!(help.code, 0);
    assert!(help.out.contains("Examples:"), "{}", help.out);
}
