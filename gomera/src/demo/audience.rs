//! Who listens to the city, and for what.

use gomera_model::{Attributes, Filter, FilterLimits, Value};

use super::city;

/// A subscriber: its name, its filters, its context.
#[derive(Debug)]
pub struct Listener {
    /// Its name.
    pub name: &'static str,
    /// Its filters.
    pub filters: &'static [&'static str],
    /// What it tells of itself.
    pub context: Attributes,
}

/// The one that moves.
pub const COURIER: &str = "courier";
/// The one that changes its mind.
pub const TRAFFIC_DESK: &str = "traffic-desk";

/// What the traffic desk looks for, one after the other.
pub const DESK_FILTERS: [&str; 4] = [
    "type = 'road' AND occupancy > 60",
    "type = 'road' AND occupancy > 75 AND direction = 'in'",
    "type = 'road' AND (incident OR occupancy > 85) AND road LIKE 'M-%'",
    "type = 'road' AND flow > 4500 AND speed / limit < 0.6",
];

const COURIER_FILTERS: [&str; 2] = [
    "type = 'road' AND speed < 25 AND WITHIN(location, CIRCLE($here, $radius))",
    "type = 'weather' AND rain > 0 AND DISTANCE(location, $here) < 2 * $radius",
];

const PLAIN: [(&str, &[&str]); 30] = [
    ("ring-road-control", &["type = 'road' AND road IN ('M-30', 'M-40') AND occupancy > 80"]),
    ("motorway-jams", &["type = 'road' AND road LIKE 'A-%' AND speed < 0.3 * limit"]),
    ("standstill", &["type = 'road' AND speed BETWEEN 0 AND 10"]),
    ("incidents", &["incident"]),
    ("centre-inbound", &["district = 'Centro' AND direction = 'in' AND speed < 30"]),
    ("school-zone", &["type = 'road' AND limit <= 30 AND speed > limit"]),
    ("commuter-a6", &["road = 'A-6' AND direction = 'in' AND hour BETWEEN 7 AND 10"]),
    ("commuter-a4", &["road = 'A-4' AND direction = 'out' AND hour >= 17 AND occupancy > 50"]),
    ("bus-lane-planner", &["type = 'road' AND lanes >= 3 AND limit = 50 AND flow > 2500"]),
    ("castellana-lights", &["road = 'Paseo de la Castellana' AND (occupancy > 70 OR speed < 15)"]),
    ("taxi-app", &["type = 'road' AND WITHIN(location, CIRCLE(POINT(40.4169, -3.7035), 2500)) AND speed < 20"]),
    (
        "airport-shuttle",
        &["road IN ('A-2', 'M-40') AND WITHIN(location, BOX(POINT(40.41, -3.70), POINT(40.52, -3.55)))"],
    ),
    (
        "low-emission-zone",
        &[
            "air.no2 > 120 AND WITHIN(location, POLYGON(POINT(40.43, -3.72), POINT(40.43, -3.69), POINT(40.405, -3.69), POINT(40.405, -3.72)))",
        ],
    ),
    ("air-quality-alert", &["air.no2 > 180 OR air.pm25 > 35"]),
    ("asthma-patient", &["type = 'weather' AND air.pm25 >= 25 AND district IN ('Salamanca', 'Retiro', 'Centro')"]),
    ("ice-warning", &["type = 'weather' AND temperature < 1.5 AND humidity > 75"]),
    ("gritting-crews", &["temperature <= 0 AND NOT (rain > 0)"]),
    ("storm-watch", &["wind.gust > 35 OR rain >= 4"]),
    ("umbrella-sellers", &["rain > 1 AND district = 'Centro'"]),
    ("aquaplaning", &["type = 'weather' AND rain BETWEEN 2 AND 50 AND wind.speed > 15"]),
    ("gardeners", &["type = 'weather' AND rain = 0 AND humidity < 45 AND temperature > 12"]),
    ("east-side", &["district IN ('San Blas', 'Hortaleza', 'Vallecas') AND type <> 'weather' AND speed < 40"]),
    ("south-side", &["STARTS_WITH(district, 'V') OR ENDS_WITH(district, 'banchel')"]),
    ("streets-not-roads", &["type = 'road' AND NOT MATCHES(road, '^[AM]-[0-9]+$') AND speed < 12"]),
    ("dawn-patrol", &["type = 'road' AND hour < 6 AND speed > limit"]),
    ("battery-change", &["sensor.battery < 15 AND hour < 12"]),
    ("mains-only", &["type = 'road' AND sensor.battery IS NULL AND occupancy > 90"]),
    ("road-lottery", &["gomera.publisher LIKE 'road-__7' AND flow > 3000"]),
    ("machine-room", &["origin = 'measured' AND type = 'machine'", "load.one > cpu.count"]),
    (
        "disk-and-network",
        &["disk.used_percent > 50", "network.received_bytes_per_second > 0 AND network.interface <> 'lo'"],
    ),
];

/// Everybody.
#[must_use]
pub fn listeners() -> Vec<Listener> {
    let moving = Listener { name: COURIER, filters: &COURIER_FILTERS, context: courier(0.0) };
    let changing = Listener { name: TRAFFIC_DESK, filters: &DESK_FILTERS[..1], context: Attributes::default() };
    let plain = PLAIN.iter().map(|&(name, filters)| Listener { name, filters, context: Attributes::default() });
    [moving, changing].into_iter().chain(plain).collect()
}

/// Where the courier is when this share of the run has gone: three rounds through the city on a rosette.
#[must_use]
pub fn courier(share: f64) -> Attributes {
    let angle = share * 3.0 * std::f64::consts::TAU;
    let distance = 3.0 + 2.5 * (angle * 0.37).sin();
    let here = city::point(distance * angle.cos(), distance * angle.sin());
    [("here", Value::GeoPoint(here)), ("radius", Value::Integer(1_500))].into_iter().collect()
}

/// A filter of this file.
///
/// # Panics
/// If it does not parse, which a test excludes.
#[must_use]
pub fn parse(filter: &str) -> Filter {
    Filter::parse(filter, &FilterLimits::default()).expect("a test parses every filter of this file")
}

#[cfg(test)]
mod tests {
    //! Claims about the audience.

    use std::collections::BTreeMap;

    use gomera_model::evaluate;

    use super::*;
    use crate::demo::machine::Machine;

    #[test]
    fn every_filter_parses_and_names_are_unique() {
        let listeners = listeners();
        for listener in &listeners {
            listener.filters.iter().for_each(|filter| drop(parse(filter)));
        }
        DESK_FILTERS.iter().for_each(|filter| drop(parse(filter)));
        let mut names: Vec<_> = listeners.iter().map(|listener| listener.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), listeners.len());
        let filters: usize = listeners.iter().map(|listener| listener.filters.len()).sum();
        assert!(filters <= crate::ledger::SUBSCRIPTIONS_MAX);
    }

    #[test]
    fn over_a_day_of_the_city_every_filter_matches_something_and_none_matches_everything() {
        let mut devices = city::devices(1, 300);
        let mut matched: BTreeMap<&str, u32> = BTreeMap::new();
        let mut total = 0;
        let listeners = listeners();
        let filters: Vec<_> = listeners
            .iter()
            // What this machine is like is not for a test to say.
            .filter(|listener| !matches!(listener.name, "machine-room" | "disk-and-network"))
            .flat_map(|listener| listener.filters.iter().map(|filter| (*filter, parse(filter))))
            .chain(DESK_FILTERS.iter().map(|filter| (*filter, parse(filter))))
            .collect();
        for step in 0_u8..120 {
            let share = f64::from(step) / 120.0;
            let context = courier(share);
            for device in &mut devices {
                let mut reading = device.reading(city::hour(share));
                reading = reading
                    .into_iter()
                    .chain([("gomera.publisher".into(), Value::string(device.name.as_str()))])
                    .collect();
                total += 1;
                for (text, filter) in &filters {
                    *matched.entry(text).or_default() += u32::from(evaluate(filter, &reading, &context).is_match());
                }
            }
        }
        let never: Vec<_> = filters.iter().map(|(text, _)| *text).filter(|text| matched[text] == 0).collect();
        assert!(never.is_empty(), "matched nothing: {never:#?}");
        let often: Vec<_> = matched.iter().filter(|(_, count)| **count >= total / 3).collect();
        assert!(often.is_empty(), "matched too much of {total}: {often:#?}");
    }

    #[test]
    fn the_machine_tells_of_itself() {
        let readings = Machine::new().readings();
        let filter = parse("origin = 'measured' AND type = 'machine' AND memory.used_percent > 0 AND load.one >= 0");
        assert!(evaluate(&filter, &readings[0], &Attributes::default()).is_match(), "{readings:?}");
    }
}
