//! `externalscaler.ExternalScaler`: what KEDA asks before it decides how many nodes of a layer there should be. How much waits is what
//! nodes say of themselves in the coordination service, so that any connection point can be asked about any layer.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use gomera_cluster::address::{Incarnation, Layer};
use gomera_proto::keda;
use gomera_proto::keda::external_scaler_server::ExternalScaler;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request as Call, Response, Status};

use crate::coordination::{Coordination, Load};

/// See the top of this file.
#[derive(Clone, Debug)]
pub struct ScalerService {
    pub cluster: Arc<str>,
    pub coordination: Coordination,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    /// Bytes that wait, over all nodes of the layer.
    Backlog,
    /// Milliseconds.
    Latency,
}

/// What a trigger asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Trigger {
    layer: Layer,
    metric: Metric,
    target: f64,
}

impl Trigger {
    /// Reads the metadata of a trigger.
    fn parse(of: Option<&keda::ScaledObjectRef>, cluster: &str) -> Result<Self, Status> {
        let empty = BTreeMap::new();
        let metadata = of.map_or(&empty, |of| &of.scaler_metadata);
        let given = |key: &str| metadata.get(key).map(|value| value.trim());
        let wrong = |key: &str, right: &str| {
            let found = given(key).map_or(String::from("missing"), |value| format!("«{value}»"));
            Status::invalid_argument(format!("the trigger's {key} is {found}, must be {right}"))
        };
        if given("cluster").is_some_and(|asked| asked != cluster) {
            return Err(wrong("cluster", &format!("«{cluster}», which is served here")));
        }
        let layer = Layer::ALL.into_iter().find(|layer| given("layer") == Some(layer.name()));
        let layer = layer.ok_or_else(|| wrong("layer", "connection-point, access-point, matcher or exit-point"))?;
        let metric = match given("metric") {
            None | Some("backlog") => Metric::Backlog,
            Some("latency") => Metric::Latency,
            Some(_) => return Err(wrong("metric", "backlog or latency")),
        };
        let target = given("target").and_then(|target| target.parse::<f64>().ok());
        let target = target.filter(|target| target.is_finite() && *target > 0.0);
        let right = match metric {
            Metric::Backlog => "a number above 0: bytes for each node",
            Metric::Latency => "a number above 0: milliseconds",
        };
        Ok(Self { layer, metric, target: target.ok_or_else(|| wrong("target", right))? })
    }

    fn name(self) -> String {
        let metric = match self.metric {
            Metric::Backlog => "backlog",
            Metric::Latency => "latency",
        };
        format!("gomera-{}-{metric}", self.layer.name())
    }

    /// What it is now.
    #[expect(clippy::cast_precision_loss, reason = "a figure to decide by")]
    fn measure(self, loads: &BTreeMap<Incarnation, Load>) -> f64 {
        match self.metric {
            Metric::Backlog => {
                let of_layer = loads.values().filter(|load| load.layer == self.layer);
                of_layer.map(|load| load.backlog_bytes).sum::<u64>() as f64
            }
            Metric::Latency => {
                let slowest = loads.values().filter_map(|load| load.latency_microseconds).max();
                slowest.unwrap_or(0) as f64 / 1000.0
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, as it should")]
fn rounded_up(value: f64) -> i64 {
    value.ceil() as i64
}

/// Answers that KEDA waits for.
pub type Activity = Pin<Box<dyn Stream<Item = Result<keda::IsActiveResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ExternalScaler for ScalerService {
    async fn is_active(&self, call: Call<keda::ScaledObjectRef>) -> Result<Response<keda::IsActiveResponse>, Status> {
        Trigger::parse(Some(call.get_ref()), &self.cluster)?;
        Ok(Response::new(keda::IsActiveResponse { result: true }))
    }

    type StreamIsActiveStream = Activity;

    async fn stream_is_active(&self, call: Call<keda::ScaledObjectRef>) -> Result<Response<Activity>, Status> {
        Trigger::parse(Some(call.get_ref()), &self.cluster)?;
        let active = tokio_stream::once(Ok(keda::IsActiveResponse { result: true }));
        Ok(Response::new(Box::pin(active.chain(tokio_stream::pending()))))
    }

    async fn get_metric_spec(
        &self,
        call: Call<keda::ScaledObjectRef>,
    ) -> Result<Response<keda::GetMetricSpecResponse>, Status> {
        let trigger = Trigger::parse(Some(call.get_ref()), &self.cluster)?;
        let spec = keda::MetricSpec {
            metric_name: trigger.name(),
            target_size: rounded_up(trigger.target),
            target_size_float: trigger.target,
        };
        Ok(Response::new(keda::GetMetricSpecResponse { metric_specs: vec![spec] }))
    }

    async fn get_metrics(
        &self,
        call: Call<keda::GetMetricsRequest>,
    ) -> Result<Response<keda::GetMetricsResponse>, Status> {
        let trigger = Trigger::parse(call.get_ref().scaled_object_ref.as_ref(), &self.cluster)?;
        let loads = self.coordination.loads().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let measured = trigger.measure(&loads);
        let value = keda::MetricValue {
            metric_name: trigger.name(),
            metric_value: rounded_up(measured),
            metric_value_float: measured,
        };
        Ok(Response::new(keda::GetMetricsResponse { metric_values: vec![value] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(metadata: &[(&str, &str)]) -> Result<Trigger, String> {
        let scaler_metadata = metadata.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let of = keda::ScaledObjectRef { scaler_metadata, ..keda::ScaledObjectRef::default() };
        Trigger::parse(Some(&of), "plaza").map_err(|status| status.message().to_owned())
    }

    #[test]
    fn a_trigger_says_what_is_wrong_with_it() {
        let wrong = |metadata: &[(&str, &str)]| trigger(metadata).expect_err("wrong");
        assert_eq!(
            wrong(&[]),
            "the trigger's layer is missing, must be connection-point, access-point, matcher or exit-point"
        );
        let layer = ("layer", "matcher");
        assert_eq!(
            wrong(&[layer, ("metric", "cpu"), ("target", "1")]),
            "the trigger's metric is «cpu», must be backlog or latency"
        );
        for target in ["", "0", "-1", "NaN", "inf", "many"] {
            let text = wrong(&[layer, ("target", target)]);
            assert_eq!(
                text,
                format!("the trigger's target is «{target}», must be a number above 0: bytes for each node")
            );
        }
        let elsewhere = wrong(&[layer, ("target", "1"), ("cluster", "harbour")]);
        assert_eq!(elsewhere, "the trigger's cluster is «harbour», must be «plaza», which is served here");
        assert!(Trigger::parse(None, "plaza").is_err());
    }

    #[test]
    fn backlogs_add_up_over_a_layer_and_the_slowest_door_counts() {
        let load = |layer, backlog_bytes, latency| (layer, backlog_bytes, latency);
        let loads = [
            load(Layer::Matcher, 100, None),
            load(Layer::Matcher, 50, None),
            load(Layer::ExitPoint, 7, None),
            load(Layer::ConnectionPoint, 0, Some(1_500)),
            load(Layer::ConnectionPoint, 0, Some(2_500)),
        ];
        let loads = loads.into_iter().zip(1..).map(|((layer, backlog_bytes, latency_microseconds), node)| {
            (Incarnation(node), Load { layer, backlog_bytes, latency_microseconds })
        });
        let loads = loads.collect();
        let measure = |metadata: &[(&str, &str)]| trigger(metadata).expect("right").measure(&loads).to_bits();
        assert_eq!(measure(&[("layer", "matcher"), ("target", "1")]), 150.0_f64.to_bits());
        assert_eq!(measure(&[("layer", "access-point"), ("target", "1")]), 0.0_f64.to_bits());
        assert_eq!(measure(&[("layer", "matcher"), ("metric", "latency"), ("target", "1")]), 2.5_f64.to_bits());
    }
}
