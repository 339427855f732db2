//! What the kernels ask of a number type.

/// Constants of the kernels in one precision; each is explained where it is used.
pub trait Coefficients: Sized + 'static {
    /// 1.5 · 2^m for a type of m stored bits of mantissa. A number of at most 2^(m-1) added to it is rounded to a whole one,
    /// which then stands in the lowest bits.
    const ROUNDER: Self;

    /// 1 / log 2.
    const INVERSE_LN_2: Self;

    /// The number nearest to log 2.
    const LN_2_HIGH: Self;

    /// What it lacks to log 2.
    const LN_2_LOW: Self;

    /// Where `exp` has certainly become 0, and where infinity.
    const EXP_RANGE: (Self, Self);

    /// A `k`, not the least, down to which `2^k exp(r)` is a normal number.
    const MIN_POWER: Self;

    /// Where `exp(x) - 1` has certainly become -1.
    const EXP_M1_MIN: Self;

    /// Below it `exp(x) - 1` is `x` to the last bit.
    const TINY: Self;

    /// Where `tanh` has certainly become 1.
    const TANH_MAX: Self;

    /// `1/n!` from n = 2 on: the series of `(exp(r) - 1 - r) / r²`.
    const EXP_SERIES: &'static [Self];

    /// `1/(2n + 1)` from n = 1 on: the series of `(artanh(f) - f) / f³` in `f²`.
    const ARTANH_SERIES: &'static [Self];

    /// Where the upper tail of the normal distribution has certainly become 0.
    const NORMAL_MAX: Self;

    /// `p` in `t = 1 / (1 + p a)`.
    const NORMAL_SLOPE: Self;

    /// The polynomial in `2 t - 1` of [`normal`](super::normal()).
    const NORMAL_TAIL: &'static [Self];

    /// `2^k` for `rounded = k + ROUNDER`, with `k` an exponent of a normal number.
    fn power_of_two(rounded: Self) -> Self;
}

impl Coefficients for f32 {
    const ROUNDER: Self = 12_582_912.0;
    const INVERSE_LN_2: Self = std::f32::consts::LOG2_E;
    const LN_2_HIGH: Self = std::f32::consts::LN_2;
    const LN_2_LOW: Self = -1.904_654_3e-9;
    const EXP_RANGE: (Self, Self) = (-104.0, 89.0);
    const MIN_POWER: Self = -120.0;
    const EXP_M1_MIN: Self = -20.0;
    const TINY: Self = 1e-8;
    const TANH_MAX: Self = 10.0;
    const EXP_SERIES: &'static [Self] =
        &[1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0];
    const ARTANH_SERIES: &'static [Self] =
        &[1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0, 1.0 / 13.0];
    const NORMAL_MAX: Self = 14.5;
    const NORMAL_SLOPE: Self = 0.25;
    const NORMAL_TAIL: &'static [Self] = &[
        0.188_821_29,
        0.151_974_15,
        0.096_784_17,
        0.046_630_75,
        0.015_101_617,
        0.001_881_803_2,
        -0.000_880_893_5,
        -0.000_392_328_4,
        4.870_046e-5,
        3.074_579e-5,
    ];

    #[inline(always)]
    fn power_of_two(rounded: Self) -> Self {
        Self::from_bits((rounded.to_bits() << 23).wrapping_add(1f32.to_bits()))
    }
}

impl Coefficients for f64 {
    const ROUNDER: Self = 6_755_399_441_055_744.0;
    const INVERSE_LN_2: Self = std::f64::consts::LOG2_E;
    const LN_2_HIGH: Self = std::f64::consts::LN_2;
    const LN_2_LOW: Self = 2.319_046_813_846_299_6e-17;
    const EXP_RANGE: (Self, Self) = (-746.0, 710.0);
    const MIN_POWER: Self = -1000.0;
    const EXP_M1_MIN: Self = -40.0;
    const TINY: Self = 1e-17;
    const TANH_MAX: Self = 22.0;
    const EXP_SERIES: &'static [Self] = &[
        1.0 / 2.0,
        1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 120.0,
        1.0 / 720.0,
        1.0 / 5_040.0,
        1.0 / 40_320.0,
        1.0 / 362_880.0,
        1.0 / 3_628_800.0,
        1.0 / 39_916_800.0,
        1.0 / 479_001_600.0,
        1.0 / 6_227_020_800.0,
    ];
    const ARTANH_SERIES: &'static [Self] = &[
        1.0 / 3.0,
        1.0 / 5.0,
        1.0 / 7.0,
        1.0 / 9.0,
        1.0 / 11.0,
        1.0 / 13.0,
        1.0 / 15.0,
        1.0 / 17.0,
        1.0 / 19.0,
        1.0 / 21.0,
        1.0 / 23.0,
        1.0 / 25.0,
    ];
    const NORMAL_MAX: Self = 39.0;
    const NORMAL_SLOPE: Self = 0.2;
    const NORMAL_TAIL: &'static [Self] = &[
        0.15383860995001258,
        0.13307650057801135,
        0.09906112319399528,
        0.06270663133426091,
        0.03300407323407694,
        0.013823727741262032,
        0.004159013359976636,
        0.0005986753541017085,
        -0.000159573879693214,
        -0.00010897981295462598,
        -1.1875145601983172e-05,
        9.952562854117161e-06,
        3.336242748408412e-06,
        -7.961804315736082e-07,
        -5.53853419199486e-07,
        6.732307362024942e-08,
        8.662820713725169e-08,
        -8.45499874801307e-09,
        -1.3188443324954445e-08,
        1.862712198865212e-09,
        1.5326143601520082e-09,
        -3.506096802816464e-10,
        -3.175493765494673e-11,
    ];

    #[inline(always)]
    fn power_of_two(rounded: Self) -> Self {
        Self::from_bits((rounded.to_bits() << 52).wrapping_add(1f64.to_bits()))
    }
}
