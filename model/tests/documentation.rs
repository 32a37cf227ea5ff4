//! `docs/filter-language.md` tells the truth: its examples are run, its caps and errors compared with the code.

use gomera_model::filter::DEPTH_CEILING;
use gomera_model::{Filter, FilterLimits, FlattenLimits, attributes_from_json, evaluate};

const PAGE: &str = include_str!("../../docs/filter-language.md");

/// The rows of every table with this header, as cells, with their line numbers.
fn rows(header: &str) -> Vec<(usize, Vec<&'static str>)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in PAGE.lines().enumerate() {
        if line == header {
            inside = true;
        } else if !line.starts_with('|') {
            inside = false;
        } else if inside && !line.starts_with("| ---") {
            let cells = line.trim_start_matches("| ").trim_end_matches(" |").split(" | ");
            found.push((index + 1, cells.collect()));
        }
    }
    found
}

fn code(cell: &str) -> &str {
    cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap_or_else(|| panic!("{cell} is not code"))
}

#[test]
fn every_example_comes_to_what_the_page_says() {
    let examples = rows("| filter | publication | context | result |");
    assert!(examples.len() > 100, "only {} examples found", examples.len());
    for (line, cells) in examples {
        let [filter, publication, context, result] = cells[..] else { panic!("line {line} has not 4 cells") };
        let filter = Filter::parse(code(filter), &FilterLimits::default())
            .unwrap_or_else(|error| panic!("line {line}: {error}"));
        let attributes = |cell: &str| {
            attributes_from_json(code(cell).as_bytes(), &FlattenLimits::default())
                .unwrap_or_else(|error| panic!("line {line}: {error}"))
        };
        let truth = evaluate(&filter, &attributes(publication), &attributes(context));
        assert_eq!(truth.to_string(), result, "line {line}: {filter}");
    }
}

#[test]
fn the_caps_have_the_defaults_that_the_page_says() {
    let limits = FilterLimits::default();
    let real = [
        ("text_bytes_max", limits.text_bytes_max),
        ("depth_max", limits.depth_max),
        ("nodes_max", limits.nodes_max),
        ("in_members_max", limits.in_members_max),
        ("polygon_vertices_max", limits.polygon_vertices_max),
        ("regexes_max", limits.regexes_max),
        ("regex_text_bytes_max", limits.regex_text_bytes_max),
        ("regex_bytes_max", limits.regex_bytes_max),
    ];
    let told: Vec<(&str, usize)> = rows("| cap | default | counts |")
        .into_iter()
        .map(|(_, cells)| (code(cells[0]), cells[1].parse().expect("a number")))
        .collect();
    assert_eq!(told, real);
    assert!(PAGE.contains(&format!("never above {DEPTH_CEILING}")));
}

#[test]
fn the_error_on_the_page_is_what_the_parser_says() {
    let text = "a = 1 && b = 2";
    let error = Filter::parse(text, &FilterLimits::default()).expect_err("no filter");
    assert!(PAGE.contains(&format!("```\n{error}\n{}\n```", error.caret(text))), "{error}\n{}", error.caret(text));
}

#[test]
fn the_truth_tables_on_the_page_are_those_of_the_code() {
    for (word, header) in [("AND", "| `AND` | true | false | unknown |"), ("OR", "| `OR` | true | false | unknown |")] {
        let table = rows(header);
        assert_eq!(table.len(), 3);
        for (line, cells) in table {
            let literal = |truth: &str| match truth.trim_matches('*') {
                "unknown" => "NULL".to_owned(),
                known => known.to_owned(),
            };
            for (right, told) in ["true", "false", "unknown"].iter().zip(&cells[1..]) {
                let text = format!("{} {word} {}", literal(cells[0]), literal(right));
                let filter = Filter::parse(&text, &FilterLimits::default()).expect("a filter");
                let nothing = gomera_model::filter::Nothing;
                assert_eq!(evaluate(&filter, &nothing, &nothing).to_string(), *told, "line {line}: {text}");
            }
        }
    }
}
