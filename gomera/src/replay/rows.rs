//! A file as rows to publish: CSV with a header line, or JSON lines. Errors name the line.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::Path;

use gomera_model::attributes::AttributesBuilder;
use gomera_model::{AttributeLimits, Attributes, Value};

use super::Format;
use crate::cell;
use crate::exit::{Failure, Outcome, Reason};
use crate::lines::{self, Lines, Rationed, Rations, TooLong};
use crate::output;

/// One publication to be.
#[derive(Debug)]
pub struct Row {
    /// What the publisher column says, if there is one.
    pub publisher: Option<String>,
    /// The cells.
    pub attributes: Attributes,
}

/// See the top of this file.
pub struct Rows {
    source: Source,
    publisher_column: Option<String>,
}

enum Source {
    Csv { reader: csv::Reader<Rationed>, rations: Rations, names: Vec<String>, record: csv::StringRecord },
    Jsonl(Lines),
}

impl Rows {
    /// Opens a file (`-`: standard input) and, of a table, reads the header.
    pub fn open(path: &Path, format: Option<Format>, publisher_column: Option<String>) -> Outcome<Self> {
        let mut input = lines::open(path)?;
        let format = match format {
            Some(format) => format,
            None => guess(path, &mut *input)?,
        };
        let source = match format {
            Format::Jsonl => Source::Jsonl(Lines::new(input)),
            Format::Csv => {
                let (input, rations) = Rationed::new(input);
                let mut reader = csv::ReaderBuilder::new().from_reader(input);
                let names = header(&mut reader)?;
                if let Some(column) = &publisher_column
                    && !names.contains(column)
                {
                    return Err(Failure::say(
                        Reason::Usage,
                        format!("there is no column `{column}`; the columns are {}", names.join(", ")),
                    ));
                }
                Source::Csv { reader, rations, names, record: csv::StringRecord::new() }
            }
        };
        Ok(Self { source, publisher_column })
    }

    /// The next row.
    pub fn next(&mut self) -> Outcome<Option<Row>> {
        let attributes = match &mut self.source {
            Source::Jsonl(lines) => match lines.next()? {
                None => return Ok(None),
                Some(line) => line.attributes()?,
            },
            Source::Csv { reader, rations, names, record } => {
                rations.renew();
                if !reader.read_record(record).map_err(wrong_record)? {
                    return Ok(None);
                }
                let line = record.position().map_or(0, csv::Position::line);
                cells(names, record)
                    .map_err(|error| Failure::data(anyhow::Error::new(error).context(format!("line {line}"))))?
            }
        };
        let publisher = self.publisher_column.as_deref().and_then(|column| attributes.get(column)).map(text);
        Ok(Some(Row { publisher, attributes }))
    }
}

/// By its name, else by its first character.
fn guess(path: &Path, input: &mut (dyn BufRead + Send)) -> Outcome<Format> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => return Ok(Format::Csv),
        Some("jsonl" | "ndjson") => return Ok(Format::Jsonl),
        _ => {}
    }
    let beginning = input
        .fill_buf()
        .map_err(|error| Failure::new(Reason::Input, anyhow::Error::new(error).context("read input")))?;
    Ok(if beginning.trim_ascii_start().first() == Some(&b'{') { Format::Jsonl } else { Format::Csv })
}

fn wrong_record(error: csv::Error) -> Failure {
    let text = match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            let cells = output::count(*len, "cell");
            format!("line {line} has {cells}, must have {expected_len} as the header has")
        }
        csv::ErrorKind::Utf8 { pos, err } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line}, cell {}: it is not UTF-8", err.field() + 1)
        }
        csv::ErrorKind::Io(inner) if inner.get_ref().is_some_and(|inner| inner.is::<TooLong>()) => TooLong.to_string(),
        csv::ErrorKind::Io(_) => return Failure::new(Reason::Input, anyhow::Error::new(error).context("read input")),
        _ => return Failure::data(anyhow::Error::new(error)),
    };
    Failure::say(Reason::Data, text)
}

/// The names of the columns; one without a name goes by its number.
fn header(reader: &mut csv::Reader<Rationed>) -> Outcome<Vec<String>> {
    let header = reader.headers().map_err(wrong_record)?;
    let named = header.iter().enumerate().map(|(index, name)| match name.trim_start_matches('\u{feff}').trim() {
        "" => format!("column_{}", index + 1),
        name => name.to_owned(),
    });
    let names: Vec<_> = named.collect();
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(Failure::say(
            Reason::Data,
            format!("two columns are called `{twice}`, each must have a name of its own"),
        ));
    }
    Ok(names)
}

fn cells(names: &[String], record: &csv::StringRecord) -> Result<Attributes, gomera_model::AttributesError> {
    let mut builder = AttributesBuilder::new(AttributeLimits::default());
    for (name, text) in names.iter().zip(record) {
        if let Some(value) = cell::value(text) {
            builder.insert(name.as_str(), value)?;
        }
    }
    Ok(builder.build())
}

/// A publisher's name out of a cell.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Timestamp(_)
        | Value::GeoPoint(_)
        | Value::Array(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    //! Claims about rows.

    use std::io::Write;

    use super::*;

    fn rows(name: &str, content: &str, column: Option<&str>) -> Outcome<Rows> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(name);
        std::fs::File::create(&path).expect("a file").write_all(content.as_bytes()).expect("written");
        Rows::open(&path, None, column.map(Into::into))
    }

    fn all(mut rows: Rows) -> Vec<String> {
        std::iter::from_fn(|| rows.next().expect("a row"))
            .map(|row| format!("{:?} {:?}", row.publisher, row.attributes))
            .collect()
    }

    #[test]
    fn cells_are_typed_and_absent_ones_are_no_attributes() {
        let table = "\u{feff}sensor, t ,,note\n387,2015-07-10 14:24:00,1.5,NA\n388,,2,\"a, b\"\n";
        assert_eq!(
            all(rows("x.csv", table, Some("sensor")).expect("a table")),
            [
                "Some(\"387\") {\"column_3\": Float(1.5), \"sensor\": Integer(387), \"t\": Timestamp(Timestamp(1436538240000000))}",
                "Some(\"388\") {\"column_3\": Integer(2), \"note\": String(\"a, b\"), \"sensor\": Integer(388)}",
            ]
        );
    }

    #[test]
    fn a_file_without_a_telling_name_is_known_by_its_first_character() {
        let json = all(rows("x.txt", " {\"a\":{\"b\":1}}\n\n{\"a\":2}\n", Some("a.b")).expect("JSON lines"));
        assert_eq!(json, ["Some(\"1\") {\"a.b\": Integer(1)}", "None {\"a\": Integer(2)}"]);
        assert_eq!(all(rows("x.txt", "a\n1\n", None).expect("a table")), ["None {\"a\": Integer(1)}"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let failure = |content: &str, name: &str| {
            let mut rows = rows(name, content, None).expect("it opens");
            let failure = loop {
                match rows.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("nothing wrong"),
                    Err(failure) => break failure,
                }
            };
            format!("{failure:?}")
        };
        assert!(failure("{\"a\":1}\n{\"a\":\n", "x.jsonl").contains("line 2"));
        assert!(failure("a,b\n1,2\n3\n", "x.csv").contains("line 3 has 1 cell, must have 2"));
        assert!(failure("{\"a\":1}\n[1]\n", "x.jsonl").contains("line 2 is JSON but no object"));
        assert!(failure("{\"a\":1}\n1.5\n", "x.jsonl").contains("line 2 is JSON but no object"));
        let endless = format!("a,b\n1,2\n\"3{}", "\n4,5".repeat(400_000));
        assert!(failure(&endless, "x.csv").contains("a row has more than 1048576 bytes"));
        let Err(endless) = rows("x.csv", &endless[7..], None) else { panic!("an endless header") };
        assert!(format!("{endless:?}").contains("a row has more than"), "{endless:?}");
        let Err(twice) = rows("x.csv", "a,b,a\n1,2,3\n", None) else { panic!("two of one name") };
        assert!(format!("{twice:?}").contains("two columns are called `a`"));
        assert!(failure("gomera.time\n1\n", "x.csv").contains("line 2"));
        let Err(missing) = rows("x.csv", "a,b\n1,2\n", Some("c")) else { panic!("no such column") };
        assert!(format!("{missing:?}").contains("the columns are a, b"));
    }
}
