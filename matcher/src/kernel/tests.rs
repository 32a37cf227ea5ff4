//! Claims about the kernel: what it means, and that all versions agree.

use super::*;

fn random(state: &mut u64) -> u8 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 56).to_le_bytes()[0]
}

/// A publication that any feature may be asked of.
fn coded<'a>(codes: &'a Codes, fine: &'a Codes) -> Coded<'a> {
    Coded { codes, fine, features: 256 }
}

fn one(kernel: Kernel, codes: &Codes, columns: Columns<'_>) -> Verdict {
    let mut verdicts = [Verdict::default(); 3];
    kernel.judge(coded(codes, codes), &[columns; 3], &mut verdicts);
    assert!(verdicts[0] == verdicts[1] && verdicts[1] == verdicts[2]);
    verdicts[0]
}

#[test]
fn bounds_include_their_ends_and_surely_does_not() {
    let mut codes = [255; 256];
    codes[7] = 10;
    let lanes: [(u8, u8, u8); 6] = [(7, 10, 20), (7, 9, 11), (7, 0, 10), (7, 11, 20), (7, 0, 9), (8, 0, 254)];
    let columns = [lanes.map(|lane| lane.0), lanes.map(|lane| lane.1), lanes.map(|lane| lane.2)].concat();
    let verdict =
        one(Kernel::Scalar, &codes, Columns { bytes: &columns, fine: &[], capacity: 6, first: 0, tests: 1, lanes: 6 });
    assert_eq!(verdict, Verdict { may: 0b00_0111, surely: 0b00_0010 });
}

#[test]
fn bounds_go_around_and_what_is_missing_passes_none() {
    let codes = |code: u8| {
        let mut codes = [MISSING; 256];
        codes[7] = code;
        codes
    };
    let lanes: [(u8, u8, u8); 4] = [(7, 20, 10), (7, 10, 9), (7, 11, 10), (8, 20, 10)];
    let columns = [lanes.map(|lane| lane.0), lanes.map(|lane| lane.1), lanes.map(|lane| lane.2)].concat();
    let columns = Columns { bytes: &columns, fine: &[], capacity: 4, first: 0, tests: 1, lanes: 4 };
    let judged = |code: u8| {
        let Verdict { may, surely } = one(Kernel::detect(), &codes(code), columns);
        (may, surely)
    };
    assert_eq!(judged(15), (0b110, 0b110));
    assert_eq!(judged(10), (0b111, 0b000));
    assert_eq!(judged(20), (0b111, 0b110));
    assert_eq!(judged(254), (0b111, 0b111));
    assert_eq!(judged(MISSING), (0, 0));
}

#[test]
fn all_versions_select_what_is_asked() {
    let mut state = 1;
    let elements: Vec<u32> = (0..64).collect();
    for round in 0..2_000 {
        let wide = (0..8).fold(0, |word, _| word << 8 | u64::from(random(&mut state)));
        let lanes = if round % 2 == 0 { wide } else { wide & wide >> 7 & wide >> 13 };
        for count in [64, 1 + round % 64] {
            let lanes = lanes & low_bits(count);
            let meant: Vec<u32> = (0..64).filter(|bit| lanes >> bit & 1 == 1).collect();
            for kernel in [Kernel::Scalar, Kernel::detect()] {
                let mut into = vec![7];
                kernel.select(&elements[..count], lanes, &mut into);
                assert_eq!((into[0], &into[1..]), (7, &meant[..]), "round {round}");
            }
        }
    }
}

#[test]
fn all_versions_agree() {
    let mut state = 1;
    let detected = Kernel::detect();
    let (mut may, mut surely, mut decided) = (0, 0, 0);
    for round in 0..20_000_usize {
        let mut codes = [0; 256];
        codes.fill_with(|| random(&mut state));
        let capacity = [4, 8, 16, 64, 128, 256][round % 6];
        let tests = round % 5;
        let mut bytes = vec![0; 3 * tests * capacity];
        for test in 0..tests {
            for lane in 0..capacity {
                let (low, width) = (random(&mut state) % 128, random(&mut state));
                bytes[3 * test * capacity + lane] = random(&mut state);
                bytes[(3 * test + 1) * capacity + lane] = low;
                let high = if width < 200 { low.saturating_add(width) } else { low.wrapping_add(width) };
                bytes[(3 * test + 2) * capacity + lane] = high;
            }
        }
        let lanes = 1 + round % capacity.min(LANES);
        let first = if capacity > LANES { LANES * (round % (capacity / LANES)) } else { 0 };
        let mut fine = vec![0; 2 * tests * capacity];
        fine.fill_with(|| random(&mut state) % 4);
        let columns = Columns { bytes: &bytes, fine: &fine, capacity, first, tests, lanes };
        let meant = one(Kernel::Scalar, &codes, columns);
        assert_eq!(one(detected, &codes, columns), meant, "round {round}");
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            assert_eq!(one(Kernel::Avx2, &codes, columns), meant, "round {round}");
        }
        let mut fine_codes = [0; 256];
        fine_codes.fill_with(|| random(&mut state) % 4);
        let refined = |kernel: Kernel| {
            let mut verdicts = [Verdict::default(), meant];
            kernel.refine(coded(&codes, &fine_codes), &[columns; 2], &[1], &mut verdicts);
            assert_eq!(verdicts[0], Verdict::default());
            verdicts[1]
        };
        let finer = refined(Kernel::Scalar);
        assert_eq!(refined(detected), finer, "round {round}");
        assert!(meant.surely & !finer.surely == 0 && finer.surely & !finer.may == 0 && finer.may & !meant.may == 0);
        decided += (meant.may & !meant.surely).count_ones() - (finer.may & !finer.surely).count_ones();
        may += meant.may.count_ones();
        surely += meant.surely.count_ones();
    }
    assert!(surely > 10_000 && may > surely, "{may} and {surely} lanes passed");
    assert!(decided > 1_000, "{decided} lanes were decided by fine codes");
}

#[test]
fn fine_codes_decide_at_bounds_alone() {
    let (mut codes, mut fine) = ([MISSING; 256], [0; 256]);
    (codes[7], fine[7]) = (10, 5);
    // Low, high, and their fine codes.
    let lanes =
        [(10, 20, 4, 0), (10, 20, 5, 0), (10, 20, 6, 0), (0, 10, 0, 6), (0, 10, 0, 4), (9, 11, 9, 1), (10, 10, 4, 6)];
    let bytes = [[7; 7], lanes.map(|lane| lane.0), lanes.map(|lane| lane.1)].concat();
    let fines = [lanes.map(|lane| lane.2), lanes.map(|lane| lane.3)].concat();
    let columns = Columns { bytes: &bytes, fine: &fines, capacity: 7, first: 0, tests: 1, lanes: 7 };
    for kernel in [Kernel::Scalar, Kernel::detect()] {
        let mut verdicts = [Verdict::default()];
        kernel.judge(coded(&codes, &fine), &[columns], &mut verdicts);
        assert_eq!(verdicts[0], Verdict { may: 0b111_1111, surely: 0b010_0000 });
        kernel.refine(coded(&codes, &fine), &[columns], &[0], &mut verdicts);
        assert_eq!(verdicts[0], Verdict { may: 0b110_1011, surely: 0b110_1001 });
    }
}

#[test]
fn all_versions_reach_the_same_blocks() {
    let mut state = 1;
    let (mut some, mut within) = (0, 0);
    for round in 0..3_000 {
        let mut codes = [0; 256];
        codes.fill_with(|| random(&mut state));
        let mut column = || (0..1 + round % 150).map(|_| random(&mut state)).collect::<Vec<u8>>();
        let [low, high, low_max, high_min, other, other_low, other_high] = std::array::from_fn(|_| column());
        let all = Reaches {
            low: &low,
            high: &high,
            low_max: &low_max,
            high_min: &high_min,
            other: &other,
            other_low: &other_low,
            other_high: &other_high,
        };
        let code = random(&mut state);
        let reached = |kernel: Kernel| {
            let mut found = Vec::new();
            kernel.reach(coded(&codes, &codes), code, all, |first, reached, inside| found.push((first, reached, reached & inside)));
            found
        };
        let meant = reached(Kernel::Scalar);
        assert_eq!(reached(Kernel::detect()), meant, "round {round}");
        for (_, reached, inside) in meant {
            some += reached.count_ones();
            within += inside.count_ones();
        }
    }
    assert!(some > within && within > 500, "{some} blocks were reached, {within} of them inside");
}

#[test]
fn all_versions_count_what_is_reached() {
    let mut of = [f64::NAN; GROUP];
    for (index, place) in (0_u8..).zip(of.iter_mut()).take(13) {
        *place = f64::from(index) - 3.0;
    }
    of[0] = f64::NEG_INFINITY;
    of[3] = -0.0;
    for number in [f64::NEG_INFINITY, -3.5, -2.0, -0.0, 0.0, 0.5, 9.0, 1e300, f64::INFINITY, f64::NAN] {
        let meant = of.iter().filter(|&&boundary| boundary <= number).count();
        for kernel in [Kernel::Scalar, Kernel::detect()] {
            assert_eq!(usize::from(kernel.count_reached(&of, number)), meant, "{number}");
        }
    }
}
