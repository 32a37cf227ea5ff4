//! A layout survives its document, the document is short, and anything else is refused with a reason.

use super::*;

/// The length that DESIGN 5 allows a layout in a znode.
const BYTES_MAX: usize = 256 * 1024;

fn layout(settings: Settings, nodes_per_layer: u16, shards: u16) -> Layout {
    let members = Layer::ALL
        .iter()
        .flat_map(|&layer| (0..nodes_per_layer).map(move |index| (layer, index)))
        .enumerate()
        .map(|(count, (layer, index))| {
            // Incarnations of full length, in an order that is not that of the layers.
            let node = u64::try_from(count).expect("few").wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let member = Member {
                layer,
                name: Arc::from(format!("{layer}-{index}")),
                link_address: Arc::from("node-17.cluster.example.org:17001"),
                client_address: Arc::from(if layer == Layer::ConnectionPoint { "10.20.30.40:17000" } else { "" }),
                shards,
            };
            (Incarnation(node), member)
        })
        .collect();
    Layout::initial(settings, members, 2, Epoch(7), LaneId(41))
}

/// Every slice with a term of its own, an active and a standby replica, and some that move.
fn worn(mut layout: Layout) -> Layout {
    let matchers = layout.machines(Layer::Matcher).collect::<Vec<_>>();
    let exits = layout.machines(Layer::ExitPoint).collect::<Vec<_>>();
    for (placements, machines) in [(&mut layout.matcher, matchers), (&mut layout.session, exits)] {
        for (index, placement) in placements.iter_mut().enumerate() {
            let machine = |offset: usize| machines[(index + offset) % machines.len()];
            placement.term = Term(1_000 + u64::try_from(index).expect("few"));
            placement.replicas = vec![
                Replica { holder: machine(0), role: Role::Active },
                Replica { holder: machine(1), role: Role::Standby },
            ];
            if index % 8 == 0 {
                placement.replicas.push(Replica { holder: machine(2), role: Role::Joining });
                placement.replicas.push(Replica { holder: machine(3), role: Role::Retiring });
            }
        }
    }
    layout.lanes.values_mut().next().expect("there are lanes").state = LaneState::Draining;
    layout.leaving.extend(layout.members.keys().copied().take(2));
    layout.ended.insert(LaneId(1), (LaneEnd::Closed, Epoch(3)));
    layout.ended.insert(LaneId(2), (LaneEnd::Fenced, Epoch(4)));
    layout
}

#[test]
fn a_layout_survives_its_document() {
    let settings = Settings { matcher_slices: 16, session_slices: 8, replication: 2 };
    for layout in [layout(settings.clone(), 2, 3), worn(layout(settings, 4, 1))] {
        assert_eq!(decode(&encode(&layout)).as_ref(), Ok(&layout));
    }
}

#[test]
fn a_layout_of_sixteen_nodes_with_default_settings_is_far_below_the_limit() {
    let fresh = encode(&layout(Settings::default(), 4, 2)).len();
    let worn = encode(&worn(layout(Settings::default(), 4, 2))).len();
    assert!(fresh < BYTES_MAX / 16 && worn < BYTES_MAX / 16, "{fresh} and {worn} bytes");
}

#[test]
fn the_longest_layout_that_settings_allow_fits_into_a_znode() {
    let settings = Settings { matcher_slices: 4096, session_slices: 4096, replication: 2 };
    let bytes = encode(&worn(layout(settings, 16, 4))).len();
    assert!(bytes < BYTES_MAX, "{bytes} bytes");
}

#[test]
fn a_placement_reads_as_documented() {
    let settings = Settings { matcher_slices: 2, session_slices: 1, replication: 2 };
    let text = String::from_utf8(encode(&layout(settings, 1, 2))).expect("JSON is text");
    assert!(text.contains(r#""matcher":["7:1.0a","7:1.1a"]"#), "{text}");
}

#[test]
fn whatever_is_not_a_layout_is_refused_with_a_reason() {
    let settings = Settings { matcher_slices: 2, session_slices: 1, replication: 2 };
    let text = String::from_utf8(encode(&layout(settings, 1, 2))).expect("JSON is text");
    let complaint = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        decode(text.replacen(from, to, 1).as_bytes()).expect_err("not a layout").to_string()
    };
    assert_eq!(decode(b"").expect_err("empty").to_string(), "EOF while parsing a value at line 1 column 0");
    assert_eq!(complaint(r#""7:1.0a","7:1.1a""#, r#""7:1.0a""#), "matcher has 1 placements, must be 2");
    assert_eq!(complaint("7:1.0a", "7-2.0a"), "7-2.0a is not a placement, must be like 3:0.1a,2.0s");
    assert_eq!(complaint("7:1.0a", "7:1.0x"), "7:1.0x is not a placement, must be like 3:0.1a,2.0s");
    assert_eq!(complaint("7:1.0a", "7:9.0a"), "9.0 is not the place of a member's shard");
    assert_eq!(complaint("7:1.0a", "7:1.2a"), "1.2 is not the place of a member's shard");
    assert_eq!(complaint("7:1.0a", "7:1.0a,1.1a"), "7:1.0a,1.1a has more than one active replica");
    assert!(complaint("\"lane_next\":", "\"lane\":").starts_with("missing field `lane_next`"));
}
