//! Reads scenarios.

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::identity::Tenant;
use gomera_cluster::session::{HandleDetail, SessionOptions, SlowPolicy};
use gomera_model::attributes::Attributes;
use gomera_model::value::Value;

use super::Show;
use crate::plan::{Configurations, Shape};
use crate::publisher::PublisherPlan;
use crate::random::millis;
use crate::subscriber::{Acknowledging, SubscriberPlan};

/// A scenario.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) shape: Shape,
    pub(super) joining: [u16; 4],
    pub(super) configurations: Configurations,
    pub(super) show: Show,
    pub(super) publishers: Vec<PublisherPlan>,
    pub(super) subscribers: Vec<SubscriberPlan>,
    pub(super) commands: Vec<(String, Command)>,
}

/// A step.
#[derive(Debug)]
pub(super) enum Command {
    Publisher(usize, PublisherVerb),
    Subscriber(usize, SubscriberVerb),
    StallMachine(String, Duration),
    StallLink(String, String, Duration),
    Deafen(String, Duration),
    Crash(String),
    Pause(String, Duration),
    Layout { point: String, with: bool },
    Wait(Duration),
    Settle,
}

/// What a publisher does.
#[derive(Debug)]
pub(crate) enum PublisherVerb {
    Open,
    Publish(Attributes, Option<Duration>),
    Repeat,
    Reuse,
    Drop,
    Restart,
}

/// What a subscriber does.
#[derive(Debug)]
pub(crate) enum SubscriberVerb {
    Attach { forgetful: bool },
    Twin,
    Subscribe { id: Arc<str>, filter: String, paused: bool, expires_after: Option<Duration> },
    Update { id: Arc<str>, filter: String, paused: bool, expires_after: Option<Duration> },
    Unsubscribe(Arc<str>),
    SetPaused(Arc<str>, bool),
    Get(Arc<str>),
    List,
    Context(Attributes),
    Acknowledge,
    SetReading(bool),
    Drop,
    End,
}

/// Reads a scenario.
pub(super) fn scenario(text: &str) -> Result<Scenario, String> {
    let mut scenario = Scenario {
        shape: Shape::single(),
        joining: [0; 4],
        configurations: Configurations::shipped(),
        show: Show::Clients,
        publishers: Vec::new(),
        subscribers: Vec::new(),
        commands: Vec::new(),
    };
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        scenario.line(line).map_err(|error| format!("line {}, {line:?}: {error}", number + 1))?;
    }
    Ok(scenario)
}

impl Scenario {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let words = words(line);
        let (first, rest) = words.split_first().ok_or("is empty")?;
        let command = match first.as_str() {
            "cluster" => return self.cluster(rest),
            "show" => {
                self.show = match rest {
                    [what] if what == "messages" => Show::Messages,
                    [what] if what == "clients" => Show::Clients,
                    _ => return Err("must be `show messages` or `show clients`".to_owned()),
                };
                return Ok(());
            }
            "limit" => return rest.iter().try_for_each(|setting| self.limit(setting)),
            "publisher" => return self.declare_publisher(rest),
            "subscriber" => return self.declare_subscriber(rest),
            "stall" => match rest {
                [machine, pause] => Command::StallMachine(machine.clone(), duration(pause)?),
                [from, to, pause] => Command::StallLink(from.clone(), to.clone(), duration(pause)?),
                _ => return Err("must be `stall MACHINE TIME` or `stall FROM TO TIME`".to_owned()),
            },
            "deaf" => match rest {
                [machine, pause] => Command::Deafen(machine.clone(), duration(pause)?),
                _ => return Err("must be `deaf MACHINE TIME`".to_owned()),
            },
            "crash" => Command::Crash(rest.first().ok_or("needs a connection point")?.clone()),
            "pause" => match rest {
                [point, pause] => Command::Pause(point.clone(), duration(pause)?),
                _ => return Err("must be `pause POINT TIME`".to_owned()),
            },
            "layout" => match rest {
                [how, point] if how == "with" || how == "without" => {
                    Command::Layout { point: point.clone(), with: how == "with" }
                }
                _ => return Err("must be `layout with POINT` or `layout without POINT`".to_owned()),
            },
            "wait" => Command::Wait(duration(rest.first().ok_or("needs a time")?)?),
            "settle" => Command::Settle,
            name => self.client(name, rest)?,
        };
        self.commands.push((line.to_owned(), command));
        Ok(())
    }

    fn client(&self, name: &str, rest: &[String]) -> Result<Command, String> {
        let (verb, arguments) = rest.split_first().ok_or("a client must do something")?;
        if let Some(number) = self.publishers.iter().position(|publisher| &*publisher.name == name) {
            return Ok(Command::Publisher(number, publisher_verb(verb, arguments)?));
        }
        if let Some(number) = self.subscribers.iter().position(|subscriber| &*subscriber.name == name) {
            return Ok(Command::Subscriber(number, subscriber_verb(verb, arguments)?));
        }
        Err(format!("{name} is not declared: `publisher {name}` or `subscriber {name}`"))
    }

    fn cluster(&mut self, words: &[String]) -> Result<(), String> {
        let (nodes, settings) = words.split_first().ok_or("needs nodes such as 1-1-1-1")?;
        let nodes =
            nodes.split('-').map(str::parse).collect::<Result<Vec<u16>, _>>().map_err(|error| error.to_string())?;
        self.shape.nodes = nodes.try_into().map_err(|_| "needs four numbers of nodes")?;
        for setting in settings {
            let (name, value) = setting.split_once('=').ok_or("settings are name=value")?;
            let value: u16 = value.parse().map_err(|_| format!("{value} is not a number"))?;
            match name {
                "lanes" => self.shape.lanes = value,
                "joining" => self.joining[0] = value,
                "joining-access" => self.joining[1] = value,
                "joining-matchers" => self.joining[2] = value,
                "slices" => {
                    self.shape.settings.matcher_slices = value;
                    self.shape.settings.session_slices = value;
                }
                other => {
                    return Err(format!(
                        "{other} is not a setting: lanes, joining, joining-access, joining-matchers, slices"
                    ));
                }
            }
        }
        Ok(())
    }

    fn limit(&mut self, setting: &str) -> Result<(), String> {
        let (name, value) = setting.split_once('=').ok_or("limits are name=value")?;
        let value: u64 = value.parse().map_err(|_| format!("{value} is not a number"))?;
        match name {
            "retained" => self.configurations.access_point.retained_bytes_max = value,
            "session-window" => self.configurations.connection_point.session_window_bytes = value,
            "sessions" => self.configurations.exit_point.tenant_sessions_max = value,
            other => return Err(format!("{other} is not a limit: retained, session-window, sessions")),
        }
        Ok(())
    }

    fn declare_publisher(&mut self, words: &[String]) -> Result<(), String> {
        let (name, settings) = words.split_first().ok_or("needs a name")?;
        self.publishers.push(PublisherPlan {
            tenant: Tenant::open(),
            name: Arc::from(name.as_str()),
            with_instance: !settings.iter().any(|setting| setting == "without-instance"),
            interval: (millis(1), millis(1)),
            batch_max: 1,
            total: u64::MAX,
            outstanding_max: usize::MAX,
            content_bytes: (8, 8),
            eager: false,
            drops: 0,
            away: (Duration::ZERO, Duration::ZERO),
            restarts: 0,
            reuses: 0,
            repeats: 0,
            skips: 0,
            expiring: (0, Duration::ZERO),
        });
        Ok(())
    }

    fn declare_subscriber(&mut self, words: &[String]) -> Result<(), String> {
        let (name, settings) = words.split_first().ok_or("needs a name")?;
        let mut options = SessionOptions::default();
        let mut acknowledging = Acknowledging::Every(1);
        for setting in settings {
            match setting.split_once('=').unwrap_or((setting, "")) {
                ("slow", policy) => options.slow = slow(policy)?,
                ("outbox", count) => {
                    options.outbox_notifications_max = count.parse().map_err(|_| "outbox needs a number")?;
                }
                ("expires", time) => options.expires_after = duration(time)?,
                ("count", "") => options.detail = HandleDetail::Count,
                ("ack", "never") => acknowledging = Acknowledging::Never,
                (other, _) => return Err(format!("{other} is not an option of a subscriber")),
            }
        }
        self.subscribers.push(SubscriberPlan {
            tenant: Tenant::open(),
            name: Arc::from(name.as_str()),
            options,
            interval: (millis(1), millis(1)),
            drops: 0,
            away: (Duration::ZERO, Duration::ZERO),
            forgetful: 0,
            twins: 0,
            ends: 0,
            stops_reading: 0,
            not_reading: (Duration::ZERO, Duration::ZERO),
            never_reads: false,
            acknowledging,
            grants: None,
            ids: 0,
            changes: 0,
            pipelines: false,
            outstanding_max: usize::MAX,
            expiring: 0,
            lag: Duration::ZERO,
        });
        Ok(())
    }
}

fn publisher_verb(verb: &str, arguments: &[String]) -> Result<PublisherVerb, String> {
    Ok(match verb {
        "open" => PublisherVerb::Open,
        "publish" => {
            let (expires_after, rest) = expiry(arguments)?;
            PublisherVerb::Publish(attributes(rest)?, expires_after)
        }
        "repeat" => PublisherVerb::Repeat,
        "reuse" => PublisherVerb::Reuse,
        "drop" => PublisherVerb::Drop,
        "restart" => PublisherVerb::Restart,
        other => return Err(format!("{other} is nothing a publisher does")),
    })
}

fn subscriber_verb(verb: &str, arguments: &[String]) -> Result<SubscriberVerb, String> {
    let id = || arguments.first().map(|id| Arc::from(id.as_str())).ok_or("needs the id of a subscription");
    let filter = || arguments.get(1).cloned().ok_or("needs a filter in double quotes");
    let paused = arguments.iter().any(|word| word == "paused");
    let expires_after = expiry(arguments.get(2..).unwrap_or_default())?.0;
    Ok(match verb {
        "attach" => SubscriberVerb::Attach { forgetful: arguments.iter().any(|word| word == "without-w") },
        "twin" => SubscriberVerb::Twin,
        "subscribe" => SubscriberVerb::Subscribe { id: id()?, filter: filter()?, paused, expires_after },
        "update" => SubscriberVerb::Update { id: id()?, filter: filter()?, paused, expires_after },
        "unsubscribe" => SubscriberVerb::Unsubscribe(id()?),
        "pause" => SubscriberVerb::SetPaused(id()?, true),
        "resume" => SubscriberVerb::SetPaused(id()?, false),
        "get" => SubscriberVerb::Get(id()?),
        "list" => SubscriberVerb::List,
        "context" => SubscriberVerb::Context(attributes(arguments)?),
        "acknowledge" => SubscriberVerb::Acknowledge,
        "stop-reading" => SubscriberVerb::SetReading(false),
        "read" => SubscriberVerb::SetReading(true),
        "drop" => SubscriberVerb::Drop,
        "end" => SubscriberVerb::End,
        other => return Err(format!("{other} is nothing a subscriber does")),
    })
}

/// Words; text in double quotes is one, without the quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn expiry(arguments: &[String]) -> Result<(Option<Duration>, &[String]), String> {
    match arguments.split_first() {
        Some((first, rest)) => match first.strip_prefix("expires=") {
            Some(time) => Ok((Some(duration(time)?), rest)),
            None => Ok((None, arguments)),
        },
        None => Ok((None, arguments)),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parse = |number: &str| number.parse().map_err(|_| format!("{text} is not a time such as 50ms or 2s"));
    if let Some(number) = text.strip_suffix("ms") {
        Ok(Duration::from_millis(parse(number)?))
    } else if let Some(number) = text.strip_suffix('s') {
        Ok(Duration::from_secs(parse(number)?))
    } else {
        Err(format!("{text} is not a time such as 50ms or 2s"))
    }
}

fn slow(text: &str) -> Result<SlowPolicy, String> {
    match text.split_once(':') {
        None if text == "drop-oldest" => Ok(SlowPolicy::DropOldest),
        None if text == "disconnect" => Ok(SlowPolicy::Disconnect),
        Some(("block", time)) => Ok(SlowPolicy::Block { wait_max: duration(time)? }),
        _ => Err(format!("{text} is not a policy: drop-oldest, disconnect, block:TIME")),
    }
}

fn attributes(words: &[String]) -> Result<Attributes, String> {
    words
        .iter()
        .map(|word| {
            let (name, text) = word.split_once('=').ok_or_else(|| format!("{word} is not name=value"))?;
            Ok((name, value(text)?))
        })
        .collect::<Result<Vec<_>, String>>()
        .map(|entries| entries.into_iter().collect())
}

fn value(text: &str) -> Result<Value, String> {
    if let Some(quoted) = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return Ok(Value::string(quoted));
    }
    match text {
        "true" => return Ok(Value::Bool(true)),
        "false" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if let Ok(integer) = text.parse() {
        return Ok(Value::Integer(integer));
    }
    text.parse().map(Value::Float).map_err(|_| format!("{text} is not a value: 'text', a number, true, false"))
}
