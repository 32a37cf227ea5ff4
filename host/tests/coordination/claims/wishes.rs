//! What people decided.

use gomera_cluster::layout::Settings;
use gomera_coordinator::Desired;
use gomera_host::coordination::CoordinationError;

use crate::world::{World, settings};

pub async fn other_settings_are_refused_by_an_error_that_names_both(world: World) {
    let (first, second) = (world.connect().await, world.connect().await);
    assert_eq!(first.settings().await.expect("reads"), None);
    first.settle(&settings()).await.expect("creates");
    second.settle(&settings()).await.expect("agrees");
    assert_eq!(second.settings().await.expect("reads"), Some(settings()));
    let asked = Settings { matcher_slices: 32, ..settings() };
    let error = second.settle(&asked).await.expect_err("other settings");
    assert!(matches!(error, CoordinationError::OtherSettings { .. }));
    let text = error.to_string();
    for part in [world.cluster(), "created with matcher_slices 16", "asks for matcher_slices 32"] {
        assert!(text.contains(part), "{text}");
    }
}

pub async fn a_first_wish_does_not_override_an_earlier_one(world: World) {
    let coordination = world.connect().await;
    assert_eq!(coordination.desired().await.expect("reads"), Desired::default());
    let (early, late) = ("1-2-3-2".parse::<Desired>(), "4-4-4-4".parse::<Desired>());
    let (early, late) = (early.expect("four numbers"), late.expect("four numbers"));
    coordination.want_initially(&early).await.expect("wants");
    coordination.want_initially(&late).await.expect("wants");
    assert_eq!(coordination.desired().await.expect("reads"), early);
    coordination.want(&late).await.expect("wants");
    assert_eq!(coordination.desired().await.expect("reads"), late);
}
