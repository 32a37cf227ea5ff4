//! Claims about the kernel: what it means, and that all versions agree.

use super::*;

fn random(state: &mut u64) -> u8 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 56).to_le_bytes()[0]
}

fn one(kernel: Kernel, codes: &Codes, columns: Columns<'_>) -> Verdict {
    let mut verdicts = [Verdict::default(); 3];
    kernel.judge(codes, &[columns; 3], &mut verdicts);
    assert!(verdicts[0] == verdicts[1] && verdicts[1] == verdicts[2]);
    verdicts[0]
}

#[test]
fn bounds_include_their_ends_and_surely_does_not() {
    let mut codes = [255; 256];
    codes[7] = 10;
    let lanes: [(u8, u8, u8); 6] = [(7, 10, 20), (7, 9, 11), (7, 0, 10), (7, 11, 20), (7, 0, 9), (8, 0, 254)];
    let columns = [lanes.map(|lane| lane.0), lanes.map(|lane| lane.1), lanes.map(|lane| lane.2)].concat();
    let verdict = one(Kernel::Scalar, &codes, Columns { bytes: &columns, capacity: 6, first: 0, tests: 1, lanes: 6 });
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
    let columns = Columns { bytes: &columns, capacity: 4, first: 0, tests: 1, lanes: 4 };
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
    let (mut may, mut surely) = (0, 0);
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
        let columns = Columns { bytes: &bytes, capacity, first, tests, lanes };
        let meant = one(Kernel::Scalar, &codes, columns);
        assert_eq!(one(detected, &codes, columns), meant, "round {round}");
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            assert_eq!(one(Kernel::Avx2, &codes, columns), meant, "round {round}");
        }
        may += meant.may.count_ones();
        surely += meant.surely.count_ones();
    }
    assert!(surely > 10_000 && may > surely, "{may} and {surely} lanes passed");
}
