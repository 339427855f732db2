//! The slope of a function along one number, from its values alone, and whether there is a kink nearby.

/// A slope, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Slope {
    /// The function is smooth within the step.
    Smooth {
        /// The extrapolated slope.
        slope: f64,
        /// How far rounding can have moved it.
        rounding: f64,
        /// The step within which it is known to be smooth.
        within: f64,
    },
    /// The function has a kink within the step.
    Kink,
}

/// The parts of the step that are tried, until the function is smooth and nearly straight within one of them.
const REFINEMENTS: [f64; 4] = [1.0, 1.0 / 8.0, 1.0 / 64.0, 1.0 / 1024.0];

/// Two slopes this close, relatively, leave an extrapolated one that is right to about the square of it.
const NEARLY_STRAIGHT: f64 = 1e-5;

/// The slope of `f(delta)` at 0, for steps up to `step`.
pub(super) fn slope(step: f64, f: &mut dyn FnMut(f64) -> f64) -> Slope {
    let middle = f(0.0);
    let mut best = Slope::Kink;
    for part in REFINEMENTS {
        let (found, bend) = slope_at(step * part, middle, f);
        match found {
            Slope::Kink => {}
            Slope::Smooth { .. } if bend <= NEARLY_STRAIGHT => return found,
            // A smaller step rounds more: the largest that is smooth stays, unless one is straight.
            Slope::Smooth { .. } if best == Slope::Kink => best = found,
            Slope::Smooth { .. } => {}
        }
    }
    best
}

/// The slope for one step, and how much two steps differ, relatively and beyond rounding.
fn slope_at(h: f64, middle: f64, f: &mut dyn FnMut(f64) -> f64) -> (Slope, f64) {
    let (above, below) = (f(h), f(-h));
    let (half_above, half_below) = (f(h / 2.0), f(-h / 2.0));
    let wide = (above - below) / (2.0 * h);
    let narrow = (half_above - half_below) / h;
    let largest = [middle, above, below].into_iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    // A sum of many terms rounds more than its result; 16 half-units cover the nets that are checked.
    let rounding = 16.0 * f64::EPSILON * largest / h;

    // For a smooth f, second differences shrink with the square of the step and are equal, divided by it; at a kink
    // they shrink with the step, and divided by its square they double.
    let bend = (above - 2.0 * middle + below) / (h * h);
    let half_bend = 4.0 * (half_above - 2.0 * middle + half_below) / (h * h);
    let noise = 4.0 * rounding / h;
    let bends_differ = (half_bend - bend).abs() > 0.1 * (bend.abs() + half_bend.abs()) + noise;
    // The same for the slopes, which a smooth f changes by h² f''' / 8: far below h times its second derivative.
    let slopes_differ = (wide - narrow).abs() > 1e-3 * (wide.abs() + narrow.abs()) + 2.0 * rounding;
    let significant = (half_bend - bend).abs() * h > 1e-6 * (wide.abs() + narrow.abs()) + 2.0 * rounding;
    if slopes_differ || (bends_differ && significant) {
        return (Slope::Kink, 0.0);
    }
    let beyond = ((wide - narrow).abs() - rounding).max(0.0);
    let bend = if beyond == 0.0 { 0.0 } else { beyond / (wide.abs() + narrow.abs()) };
    (Slope::Smooth { slope: (4.0 * narrow - wide) / 3.0, rounding: 3.0 * rounding, within: h }, bend)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smooth(f: fn(f64) -> f64, x: f64) -> f64 {
        match slope(1e-3, &mut |delta| f(x + delta)) {
            Slope::Smooth { slope, .. } => slope,
            Slope::Kink => panic!("a kink at {x}"),
        }
    }

    #[test]
    fn finds_the_slopes_of_smooth_functions() {
        for x in [-2.0, -0.5, 0.1, 1.0, 3.0] {
            assert!((smooth(f64::sin, x) - x.cos()).abs() < 1e-11);
            assert!((smooth(f64::exp, x) - x.exp()).abs() < 1e-11 * x.exp());
            assert!((smooth(|x| x.tanh() * x, x) - (x.tanh() + x * (1.0 - x.tanh().powi(2)))).abs() < 1e-10);
        }
        assert_eq!(smooth(|_| 1.0, 0.3), 0.0);
        // The slope is zero and the bend is not.
        assert!(smooth(|x| x * x, 0.0).abs() < 1e-15);
    }

    #[test]
    fn finds_kinks_wherever_they_lie_within_the_step() {
        for offset in [0.0, 1e-9, 1e-7, 3e-7] {
            assert_eq!(slope(1e-3, &mut |delta: f64| (delta - offset).abs()), Slope::Kink, "{offset}");
            assert_eq!(slope(1e-3, &mut |delta: f64| (delta + offset).max(0.0)), Slope::Kink, "{offset}");
        }
    }

    #[test]
    fn comes_closer_until_a_near_kink_is_outside() {
        for offset in [1e-5, 1e-4, 6e-4, 9.9e-4] {
            let found = slope(1e-3, &mut |delta: f64| (delta - offset).abs());
            assert!(
                matches!(found, Slope::Smooth { slope, .. } if (slope + 1.0).abs() < 1e-9),
                "{offset}: {found:?}"
            );
        }
    }
}
