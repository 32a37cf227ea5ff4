//! Claims about places, distances and areas.

use super::*;

fn place(latitude: f64, longitude: f64) -> GeoPoint {
    GeoPoint::new(latitude, longitude).expect("a place")
}

#[test]
fn coordinates_out_of_range_are_refused() {
    for (latitude, longitude) in
        [(90.1, 0.0), (-91.0, 0.0), (0.0, 180.5), (0.0, -181.0), (f64::NAN, 0.0), (0.0, f64::NAN)]
    {
        assert!(GeoPoint::new(latitude, longitude).is_err(), "{latitude} {longitude}");
    }
}

#[test]
fn distances_agree_with_the_sphere() {
    let quarter = std::f64::consts::FRAC_PI_2 * EARTH_RADIUS_METRES;
    assert!((place(0.0, 0.0).distance_metres(place(0.0, 90.0)) - quarter).abs() < 1e-3);
    assert!((place(0.0, 0.0).distance_metres(place(0.0, 180.0)) - 2.0 * quarter).abs() < 1e-3);
    assert!((place(90.0, 10.0).distance_metres(place(90.0, -120.0))).abs() < 1e-3);
    // Two degrees of longitude on the equator, across the antimeridian.
    let across = place(0.0, 179.0).distance_metres(place(0.0, -179.0));
    assert!((across - quarter / 45.0).abs() < 1e-3, "{across}");
    // Santander to Madrid, 339.6 km on this sphere.
    let santander_madrid = place(43.4623, -3.8100).distance_metres(place(40.4168, -3.7038));
    assert!((338_000.0..341_000.0).contains(&santander_madrid), "{santander_madrid}");
}

#[test]
fn a_box_may_cross_the_antimeridian() {
    let fiji = (place(-20.0, 176.0), place(-15.0, -178.0));
    assert!(place(-17.0, 179.0).is_in_box(fiji.0, fiji.1));
    assert!(place(-17.0, -179.0).is_in_box(fiji.0, fiji.1));
    assert!(place(-17.0, 180.0).is_in_box(fiji.0, fiji.1));
    assert!(!place(-17.0, 0.0).is_in_box(fiji.0, fiji.1));
    assert!(!place(-10.0, 179.0).is_in_box(fiji.0, fiji.1));
    let up_to_it = (place(-1.0, 170.0), place(1.0, 180.0));
    assert!(place(0.0, -180.0).is_in_box(up_to_it.0, up_to_it.1));
    assert!(!place(0.0, -179.9).is_in_box(up_to_it.0, up_to_it.1));
    assert!(!place(0.0, 0.0).is_in_box(place(1.0, 0.0), place(0.0, 1.0)));
}

#[test]
fn a_polygon_contains_its_inside_and_its_boundary() {
    // An L: the notch is outside.
    let shape = Polygon::new(vec![
        place(0.0, 0.0),
        place(0.0, 4.0),
        place(2.0, 4.0),
        place(2.0, 2.0),
        place(4.0, 2.0),
        place(4.0, 0.0),
    ])
    .expect("a polygon");
    for (latitude, longitude, inside) in [
        (1.0, 1.0, true),
        (1.0, 3.0, true),
        (3.0, 1.0, true),
        (3.0, 3.0, false),
        (0.0, 2.0, true),
        (2.0, 3.0, true),
        (4.0, 2.0, true),
        (2.0, 5.0, false),
        (-0.1, 1.0, false),
        (2.0, -1.0, false),
    ] {
        assert_eq!(shape.contains(place(latitude, longitude)), inside, "{latitude} {longitude}");
    }
}

#[test]
fn a_polygon_may_cross_the_antimeridian_in_either_direction() {
    for vertices in [
        vec![place(-5.0, 170.0), place(-5.0, -170.0), place(5.0, -170.0), place(5.0, 170.0)],
        vec![place(5.0, -170.0), place(5.0, 170.0), place(-5.0, 170.0), place(-5.0, -170.0), place(5.0, -170.0)],
    ] {
        let shape = Polygon::new(vertices).expect("a polygon");
        assert_eq!(shape.vertices().len(), 4);
        for (longitude, inside) in
            [(175.0, true), (-175.0, true), (180.0, true), (-180.0, true), (0.0, false), (165.0, false)]
        {
            assert_eq!(shape.contains(place(0.0, longitude)), inside, "{longitude}");
        }
    }
}

#[test]
fn a_wide_polygon_is_found_from_every_longitude() {
    let vertices: Vec<_> = [-170.0, -60.0, 60.0, 170.0]
        .map(|longitude| place(-10.0, longitude))
        .into_iter()
        .chain([170.0, 60.0, -60.0, -170.0].map(|longitude| place(10.0, longitude)))
        .collect();
    let shape = Polygon::new(vertices).expect("a polygon");
    for longitude in [-169.0, -100.0, 0.0, 100.0, 169.0] {
        assert!(shape.contains(place(0.0, longitude)), "{longitude}");
    }
    assert!(!shape.contains(place(0.0, 175.0)));
}

#[test]
fn the_boundary_of_a_polygon_belongs_to_it_wherever_it_lies() {
    // Longitudes whose differences round: accumulated along the edges they would not come back to themselves.
    let tenths = [-1795, -1001, -377, -1, 0, 3, 111, 707, 1234, 1799].map(|tenths| f64::from(tenths) / 10.0);
    for west in tenths {
        for width in [0.3, 7.7, 80.1, 179.9] {
            let around = |longitude: f64| if longitude > 180.0 { longitude - 360.0 } else { longitude };
            let (middle, east) = (around(west + width / 2.0), around(west + width));
            let vertices = vec![place(-10.1, west), place(-10.1, east), place(20.7, east), place(5.3, west)];
            let shape = Polygon::new(vertices.clone()).expect("a polygon");
            for vertex in vertices {
                assert!(shape.contains(vertex), "{vertex:?} of {shape:?}");
            }
            assert!(shape.contains(place(-10.1, middle)), "the southern edge of {shape:?}");
            assert!(shape.contains(place(3.3, east)), "the eastern edge of {shape:?}");
            assert!(shape.contains(place(3.3, west)), "the western edge of {shape:?}");
        }
    }
}

#[test]
fn one_place_is_at_distance_0_from_itself_whatever_its_longitude_is_called() {
    for (first, second) in [
        (place(90.0, 10.0), place(90.0, -120.0)),
        (place(-90.0, 0.0), place(-90.0, 180.0)),
        (place(12.5, 180.0), place(12.5, -180.0)),
    ] {
        assert!(first.distance_metres(second) == 0.0, "{first:?} {second:?}");
    }
}

#[test]
fn a_polygon_from_one_end_of_the_map_to_the_other_needs_a_vertex_between() {
    let ends = [place(-50.0, -180.0), place(-50.0, 180.0), place(50.0, 180.0), place(50.0, -180.0)];
    assert_eq!(Polygon::new(ends.to_vec()), Err(PolygonError::WholeCircle));
    let between = [ends[0], place(-50.0, 0.0), ends[1], ends[2], place(50.0, 0.0), ends[3]];
    let shape = Polygon::new(between.to_vec()).expect("a polygon");
    for longitude in [-180.0, -90.0, 0.0, 90.0, 180.0] {
        assert!(shape.contains(place(0.0, longitude)), "{longitude}");
        assert!(!shape.contains(place(60.0, longitude)), "{longitude}");
    }
}

#[test]
fn an_edge_from_180_to_minus_180_runs_along_the_antimeridian() {
    let shape = Polygon::new(vec![place(0.0, 170.0), place(0.0, 180.0), place(10.0, -180.0), place(10.0, 170.0)])
        .expect("a polygon");
    for (longitude, inside) in [(175.0, true), (180.0, true), (-180.0, true), (-175.0, false), (165.0, false)] {
        assert_eq!(shape.contains(place(5.0, longitude)), inside, "{longitude}");
    }
}

#[test]
fn a_polygon_that_crosses_itself_follows_the_even_odd_rule() {
    // A pentagram: its heart is wound twice.
    let corners = [90.0_f64, 234.0, 18.0, 162.0, 306.0].map(|degrees| {
        let angle = degrees.to_radians();
        place(10.0 * angle.sin(), 10.0 * angle.cos())
    });
    let star = Polygon::new(corners.to_vec()).expect("a polygon");
    assert!(!star.contains(place(0.0, 0.0)));
    assert!(star.contains(place(7.0, 0.0)));
    assert!(!star.contains(place(-7.0, 0.0)));
    // Repeated vertices change nothing.
    let stuttering: Vec<GeoPoint> = corners.iter().flat_map(|corner| [*corner, *corner]).collect();
    assert!(!Polygon::new(stuttering).expect("a polygon").contains(place(0.0, 0.0)));
}

#[test]
fn an_area_without_extent_is_its_boundary() {
    let line = Polygon::new(vec![place(0.0, 0.0), place(0.0, 5.0), place(0.0, 10.0)]).expect("a polygon");
    assert!(line.contains(place(0.0, 7.0)));
    assert!(!line.contains(place(0.1, 7.0)));
    assert!(place(1.0, 1.0).is_in_box(place(1.0, 1.0), place(1.0, 1.0)));
    assert!(!place(1.0, 1.1).is_in_box(place(1.0, 1.0), place(1.0, 1.0)));
    // A box from the pole down, all round.
    assert!(place(90.0, 77.0).is_in_box(place(66.0, -180.0), place(90.0, 180.0)));
}

#[test]
fn what_bounds_no_area_is_refused() {
    assert_eq!(Polygon::new(vec![place(0.0, 0.0), place(1.0, 1.0)]), Err(PolygonError::TooFewVertices(2)));
    let stuttering = vec![place(0.0, 0.0), place(1.0, 1.0), place(0.0, 0.0), place(1.0, 1.0), place(-0.0, 0.0)];
    assert_eq!(Polygon::new(stuttering), Err(PolygonError::TooFewVertices(2)));
    let round = vec![place(80.0, 0.0), place(80.0, 120.0), place(80.0, -120.0)];
    assert_eq!(Polygon::new(round), Err(PolygonError::RoundAPole));
    // Out for one and a half turns and back on another parallel.
    let out = (0..=5).map(|step| place(f64::from(step), f64::from((step * 100 + 180) % 360 - 180)));
    let back = (0..=5).rev().map(|step| place(f64::from(step) - 10.0, f64::from((step * 100 + 180) % 360 - 180)));
    assert_eq!(Polygon::new(out.chain(back).collect::<Vec<_>>()), Err(PolygonError::TooWide));
}
