//! `gomera filter`: tries filters without a cluster.

mod explain;
mod hints;

use std::path::Path;

use clap::{Args, Subcommand};
use gomera_model::filter::Nothing;
use gomera_model::flatten::{FlattenLimits, attributes_from_json};
use gomera_model::{Attributes, Filter, FilterLimits, ParseError, Truth, evaluate};
use serde::Serialize;

use crate::exit::{Failure, Outcome, Reason};
use crate::lines::{self, Lines};
use crate::output;

/// What to do with a filter.
#[derive(Debug, Subcommand)]
pub enum FilterCommand {
    /// Check a filter and print it in canonical form
    ///
    /// Which attributes it reads, and what is likely to be a slip, is told on standard error. A wrong filter is shown with a caret
    /// under the place, and the exit code is 65.
    #[command(after_help = "\
Examples:
  gomera filter check \"type = 'road' and speed < 20\"
  gomera filter check --json \"WITHIN(location, CIRCLE(\\$here, 500))\"")]
    Check(Check),

    /// Explain what a matcher does with a filter, and what it costs
    ///
    /// For each alternative: through what a publication finds it, what is checked then, and what is left to the plain evaluator, as a
    /// matcher does it that knows no other filters; one that has seen publications may choose better. `charged` is what the filter
    /// counts against the limits of its tenant (`matcher.filter_cost_per_tenant_max`, `matcher.subscription_bytes_per_tenant_max`).
    #[command(after_help = "\
Examples:
  gomera filter explain \"type = 'road' and speed < 20\"
  gomera filter explain --json \"note like '%smoke%' or alarm\"")]
    Explain(explain::Explain),

    /// Evaluate a filter over publications: JSON lines in, one of `true`, `false`, `unknown` a line out
    ///
    /// Nested objects become dotted paths (`{"env":{"co2":612}}` is `env.co2`). Only `true` matches; `unknown` means that
    /// something the filter needs is missing. Blank lines are passed over.
    #[command(after_help = "\
Examples:
  echo '{\"speed\": 12}' | gomera filter eval \"speed < 20\"
  gomera filter eval \"DISTANCE(at, \\$here) < 500\" --context '{\"here\":{\"type\":\"Point\",\"coordinates\":[-3.81,43.46]}}' < readings.jsonl")]
    Eval(Eval),
}

/// `gomera filter check`
#[derive(Debug, Args)]
pub struct Check {
    /// The filter
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expression: String,
    /// Print one JSON object: `filter attributes context hints`, or `error offset line column` if it is wrong
    #[arg(long)]
    json: bool,
}

/// `gomera filter eval`
#[derive(Debug, Args)]
pub struct Eval {
    /// The filter
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expression: String,
    /// The subscriber's context, what the filter sees as `$name`: a JSON object
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
    /// Print one JSON object a line: `line result`
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Checked {
    /// Canonical.
    filter: String,
    attributes: Vec<String>,
    context: Vec<String>,
    hints: Vec<String>,
}

#[derive(Serialize)]
struct Wrong {
    error: String,
    offset: usize,
    line: usize,
    column: usize,
}

#[derive(Serialize)]
struct Evaluated {
    line: u64,
    result: &'static str,
}

/// Runs it.
pub fn run(command: &FilterCommand) -> Outcome {
    match command {
        FilterCommand::Check(check) => run_check(check),
        FilterCommand::Explain(explain) => explain::run(explain),
        FilterCommand::Eval(eval) => run_eval(eval),
    }
}

/// Reads a filter; a wrong one is shown with a caret under the place.
pub fn parse(text: &str) -> Outcome<Filter> {
    Filter::parse(text, &FilterLimits::default())
        .map_err(|error| Failure::say(Reason::Data, format!("{error}\n{}", error.caret(text))))
}

/// Reads a context: a JSON object, flattened.
pub fn parse_context(json: &str) -> Outcome<Attributes> {
    let context = attributes_from_json(json.as_bytes(), &FlattenLimits::default())
        .map_err(|error| Failure::data(anyhow::Error::new(error).context("read --context")))?;
    if !json.trim_start().starts_with('{') {
        return Err(Failure::say(Reason::Data, "read --context: it must be a JSON object such as {\"limit\": 50}"));
    }
    if let Some((name, _)) = context.iter().find(|(name, _)| name.starts_with('$')) {
        let bare = name.trim_start_matches('$');
        return Err(Failure::say(
            Reason::Data,
            format!("read --context: `{name}` is what filters call it; in the context it is `{bare}`"),
        ));
    }
    Ok(context)
}

/// Says on standard error what is likely to be a slip.
pub fn hint(text: &str, filter: &Filter) {
    for hint in hints::hints(text, filter) {
        eprintln!("gomera: hint: {hint}");
    }
}

fn run_check(check: &Check) -> Outcome {
    if !check.json {
        let filter = parse(&check.expression)?;
        output::line(&filter)?;
        let attributes = filter.attribute_names().iter().map(ToString::to_string);
        let context = filter.context_names().iter().map(|name| format!("${name}"));
        let reads: Vec<_> = attributes.chain(context).collect();
        if !reads.is_empty() {
            eprintln!("gomera: it reads {}", reads.join(", "));
        }
        hint(&check.expression, &filter);
        return Ok(());
    }
    match Filter::parse(&check.expression, &FilterLimits::default()) {
        Ok(filter) => output::json(&Checked {
            filter: filter.to_string(),
            attributes: filter.attribute_names().iter().map(ToString::to_string).collect(),
            context: filter.context_names().iter().map(ToString::to_string).collect(),
            hints: hints::hints(&check.expression, &filter),
        }),
        Err(error) => Err(wrong(error)?),
    }
}

/// Tells what is wrong with a filter as JSON.
fn wrong(error: ParseError) -> Outcome<Failure> {
    output::json(&Wrong {
        error: error.kind.to_string(),
        offset: error.offset,
        line: error.line,
        column: error.column,
    })?;
    Ok(Failure::new(Reason::Data, error))
}

fn run_eval(eval: &Eval) -> Outcome {
    let filter = parse(&eval.expression)?;
    let context = eval.context.as_deref().map(parse_context).transpose()?;
    let mut lines = Lines::new(lines::open(Path::new("-"))?);
    while let Some(line) = lines.next()? {
        let attributes = line.attributes()?;
        let truth = match &context {
            Some(context) => evaluate(&filter, &attributes, context),
            None => evaluate(&filter, &attributes, &Nothing),
        };
        let result = word(truth);
        if eval.json {
            output::json(&Evaluated { line: line.number, result })?;
        } else {
            output::line(result)?;
        }
    }
    output::flush()
}

fn word(truth: Truth) -> &'static str {
    match truth {
        Truth::True => "true",
        Truth::False => "false",
        Truth::Unknown => "unknown",
    }
}
