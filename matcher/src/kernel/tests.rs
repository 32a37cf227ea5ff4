//! Claims about the kernel: what it means, and that all versions agree.

use super::*;

fn random(state: &mut u64) -> u8 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 56).to_le_bytes()[0]
}

fn coded(codes: &Codes, fine: &Codes) -> Coded {
    Coded { codes: *codes, fine: *fine }
}

/// Any feature may be asked for.
const FEATURES: usize = 256;

fn one(kernel: Kernel, codes: &Codes, columns: Columns<'_>) -> Verdict {
    asked(kernel, &coded(codes, codes), FEATURES, columns, 0)
}

/// Asked of the second of two publications, twice.
fn asked(kernel: Kernel, coded: &Coded, features: usize, columns: Columns<'_>, skipped: u8) -> Verdict {
    let all = [Coded { codes: [MISSING; 256], fine: [0; 256] }, coded.clone()];
    let mut verdicts = [Verdict::default(); 4];
    let asks = [0, 1, 1].map(|publication| Ask { publication, skipped });
    kernel.judge(Publications { coded: &all, features }, &columns, &asks, &mut verdicts);
    assert!(verdicts[1] == verdicts[2] && verdicts[3] == Verdict::default());
    verdicts[1]
}

/// Asked once more, of one that was answered.
fn refined(kernel: Kernel, coded: &Coded, columns: Columns<'_>, skipped: u8, answered: Verdict) -> Verdict {
    let of = Publications { coded: std::slice::from_ref(coded), features: FEATURES };
    kernel.refine(of, &columns, Ask { publication: 0, skipped }, answered)
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
            for kernel in versions() {
                let mut into = vec![7];
                kernel.select(&elements[..count], lanes, &mut into);
                assert_eq!((into[0], &into[1..]), (7, &meant[..]), "round {round}");
            }
        }
    }
}

/// Those that this processor can run.
fn versions() -> Vec<Kernel> {
    #[allow(unused_mut, reason = "where there is but one")]
    let mut all = vec![Kernel::Scalar, Kernel::detect()];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
        all.push(Kernel::Avx2);
    }
    all
}

/// Targets of a publication.
struct List(Vec<u32>);

impl Gathers<u32> for List {
    fn gathered(&mut self) -> &mut Vec<u32> {
        &mut self.0
    }
}

#[test]
fn all_versions_agree() {
    let mut state = 1;
    let (mut may, mut surely, mut decided) = (0, 0, 0);
    for round in 0..20_000_usize {
        let features = [7, 16, 20, 40, 60, 100, 256][round % 7];
        let mut codes = [0; 256];
        codes.fill_with(|| random(&mut state));
        codes[0] = 1;
        let capacity = [4, 8, 16, 32, 64, 128, 256][round / 3 % 7];
        let tests = round % 6;
        // Registers may be filled from what lies behind.
        let behind = [0, 20, 300][round / 6 % 3];
        let mut bytes = vec![0; 3 * tests * capacity + behind];
        for lane in 0..capacity {
            let own = usize::from(random(&mut state)) % (2 * tests + 1);
            for test in 0..tests {
                let (low, width) = (random(&mut state) % 128, random(&mut state));
                let high = if width < 200 { low.saturating_add(width) } else { low.wrapping_add(width) };
                let feature = 1 + usize::from(random(&mut state)) % (features - 1);
                let (feature, low, high) = if test < own { (feature, low, high) } else { (0, 0, u8::MAX) };
                bytes[3 * test * capacity + lane] = u8::try_from(feature).expect("below 256");
                bytes[(3 * test + 1) * capacity + lane] = low;
                bytes[(3 * test + 2) * capacity + lane] = high;
            }
        }
        let skipped = u8::from(round % 11 == 0 && tests > 0);
        if skipped > 0 {
            // What is known to be passed is.
            for lane in 0..capacity {
                let code = codes[usize::from(bytes[lane])];
                (bytes[capacity + lane], bytes[2 * capacity + lane]) = match code {
                    0 | MISSING => {
                        bytes[lane] = 0;
                        (0, MISSING)
                    }
                    code => (code - 1, code + 1),
                };
            }
        }
        let lanes = 1 + round % capacity.min(LANES);
        let first = if capacity > LANES { LANES * (round % (capacity / LANES)) } else { 0 };
        let mut fine = vec![0; 2 * tests * capacity + behind];
        fine.fill_with(|| random(&mut state) % 4);
        let columns = Columns { bytes: &bytes, fine: &fine, capacity, first, tests, lanes };
        let mut fine_codes = [0; 256];
        fine_codes.fill_with(|| random(&mut state) % 4);
        let coded = coded(&codes, &fine_codes);
        let meant = asked(Kernel::Scalar, &coded, features, columns, skipped);
        let finer = refined(Kernel::Scalar, &coded, columns, skipped, meant);
        assert_eq!(scalar::refine_open(&coded, &columns, usize::from(skipped), meant), finer, "round {round}");
        for kernel in versions() {
            assert_eq!(asked(kernel, &coded, features, columns, skipped), meant, "round {round}, {kernel:?}");
            assert_eq!(refined(kernel, &coded, columns, skipped, meant), finer, "round {round}, {kernel:?}");
        }
        // Gathered for publications of which some are asked for.
        if tests > 0 {
            let targets: Vec<u32> = (0..64).collect();
            let missing = Coded { codes: [MISSING; 256], fine: [0; 256] };
            let all = [missing, coded.clone(), coded.clone()];
            let skipped = u64::from(skipped);
            for kernel in versions() {
                let mut lists = [List(vec![7]), List(vec![7]), List(vec![7])];
                let mut gathering = Gathering::default();
                let of = Publications { coded: &all, features };
                let who = (0b101, 0b100 * skipped);
                let open = kernel.gather(of, &columns, who, &targets, &mut lists, &mut gathering);
                let is_open = finer.may != finer.surely;
                assert_eq!(open.len(), usize::from(is_open), "round {round}, {kernel:?}");
                assert!(!is_open || open[0] == (2, finer), "round {round}, {kernel:?}");
                let passed = (0..64).filter(|lane| finer.surely >> lane & 1 == 1);
                let mut found = lists[2].0.clone();
                found[1..].sort_unstable();
                assert_eq!(found, std::iter::once(7).chain(passed).collect::<Vec<u32>>(), "round {round}, {kernel:?}");
                assert!(
                    lists[0].0 == [7] && lists[1].0 == [7],
                    "nobody asked for the second, the first passes nothing"
                );
            }
        }
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
    let coded = coded(&codes, &fine);
    for kernel in versions() {
        let coarse = asked(kernel, &coded, FEATURES, columns, 0);
        assert_eq!(coarse, Verdict { may: 0b111_1111, surely: 0b010_0000 });
        let finer = refined(kernel, &coded, columns, 0, coarse);
        assert_eq!(finer, Verdict { may: 0b110_1011, surely: 0b110_1001 });
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
        let [low, high, low_max, high_min, mut other, other_low, other_high, mut lead] =
            std::array::from_fn(|_| column());
        let features = [7, 16, 20, 40, 60, 100, 256][round % 7];
        for feature in other.iter_mut().chain(&mut lead) {
            *feature = u8::try_from(usize::from(*feature) % features).expect("below 256");
        }
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
        let coded = coded(&codes, &codes);
        for first in (0..low.len()).step_by(LANES) {
            for lead in [Lead::Code(code), Lead::Features(&lead)] {
                let meant = Kernel::Scalar.reach(&coded, features, lead, all, first);
                for kernel in versions() {
                    assert_eq!(kernel.reach(&coded, features, lead, all, first), meant, "round {round}, {kernel:?}");
                }
                some += meant.0.count_ones();
                within += meant.1.count_ones();
            }
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
        for kernel in versions() {
            assert_eq!(usize::from(kernel.count_reached(&of, number)), meant, "{number}");
        }
    }
}
