//! `gomera filter explain`: what a matcher does with a filter, and what it costs.

use std::time::Duration;

use clap::Args;
use gomera_cluster::identity::Tenant;
use gomera_matcher::config::Config;
use gomera_matcher::index::{Branch, Index};
use gomera_model::filter::{Expression, cost};
use gomera_model::{Filter, FilterLimits};
use serde::Serialize;

use crate::exit::Outcome;
use crate::output;

/// `gomera filter explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The filter
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expression: String,
    /// Print one JSON object: `filter normal_form alternatives charged_nanoseconds charged_bytes admitted costliest`, or `error offset
    /// line column` if it is wrong
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Explained {
    /// Canonical.
    filter: String,
    normal_form: String,
    alternatives: Vec<Alternative>,
    charged_nanoseconds: u64,
    charged_bytes: u32,
    /// How many such filters the default limits let a tenant have on one matcher.
    admitted: u64,
    costliest: Option<Condition>,
}

#[derive(Serialize)]
struct Alternative {
    /// Through what a publication finds it; `null` if every publication looks.
    access: Option<String>,
    /// Places under which it stands.
    keys: usize,
    /// What is checked then.
    tests: usize,
    /// What the plain evaluator decides.
    residual: Option<String>,
}

/// The condition that takes most on the publication that is worst for it.
#[derive(Serialize)]
struct Condition {
    condition: String,
    nanoseconds: u64,
    advice: &'static str,
}

/// Runs it.
pub fn run(explain: &Explain) -> Outcome {
    if !explain.json {
        let filter = super::parse(&explain.expression)?;
        return print(&explained(&filter));
    }
    match Filter::parse(&explain.expression, &FilterLimits::default()) {
        Ok(filter) => output::json(&explained(&filter)),
        Err(error) => Err(super::wrong(error)?),
    }
}

fn explained(filter: &Filter) -> Explained {
    // Nothing of the explanation depends on the seed of its tables.
    let explanation = Index::new(0).explain(&Tenant::open(), filter);
    let alternative = |branch: &Branch| Alternative {
        access: branch.access.clone(),
        keys: branch.keys,
        tests: branch.tests,
        residual: branch.residual.clone(),
    };
    let costliest = cost::costliest(filter.expression()).map(|costliest| Condition {
        condition: Expression::from(costliest.predicate.clone()).to_string(),
        nanoseconds: costliest.nanoseconds,
        advice: costliest.advice(),
    });
    let limits = Config::default();
    let by_cost = u64::try_from(limits.filter_cost_per_tenant_max.as_nanos()).unwrap_or(u64::MAX);
    let charge = explanation.charge;
    let by_cost = by_cost / charge.total().max(1);
    Explained {
        filter: filter.to_string(),
        normal_form: explanation.normal_form,
        alternatives: explanation.branches.iter().map(alternative).collect(),
        charged_nanoseconds: charge.total(),
        charged_bytes: charge.bytes,
        admitted: by_cost.min(u64::from(limits.subscriptions_per_tenant_max)),
        costliest,
    }
}

fn print(explained: &Explained) -> Outcome {
    /// Alternatives shown to people.
    const SHOWN: usize = 8;
    output::line(&explained.filter)?;
    for alternative in explained.alternatives.iter().take(SHOWN) {
        match &alternative.access {
            Some(access) => output::line(format!("  found by    {access}"))?,
            None => output::line("  found by    nothing: every publication looks")?,
        }
        output::line(format!("  checked     {}", output::count(size(alternative.tests), "test")))?;
        if let Some(residual) = &alternative.residual {
            output::line(format!("  evaluated   {residual}"))?;
        }
    }
    let more = explained.alternatives.len().saturating_sub(SHOWN);
    if more > 0 {
        output::line(format!("  and {}", output::count(size(more), "more alternative")))?;
    }
    if explained.alternatives.is_empty() {
        output::line("  nothing satisfies it")?;
    }
    let charged = Duration::from_nanos(explained.charged_nanoseconds);
    output::line(format!("charged     {charged:.1?} a publication at worst, {} bytes", explained.charged_bytes))?;
    output::line(format!(
        "admitted    {} such filters of a tenant on a matcher, by default, if no two are alike",
        explained.admitted
    ))?;
    if let Some(Condition { condition, nanoseconds, advice }) = &explained.costliest
        && 2 * nanoseconds > explained.charged_nanoseconds
        && *nanoseconds >= WORTH_ADVICE
    {
        let most = Duration::from_nanos(*nanoseconds);
        output::line(format!("costliest   {condition}: {most:.1?}; {advice}"))?;
    }
    output::flush()
}

/// Nanoseconds below which advice is not worth the while.
const WORTH_ADVICE: u64 = 1_000;

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
