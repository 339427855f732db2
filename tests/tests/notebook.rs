//! The library against the notebook it grew from: its numbers, its nine formulas, its examples.

use chainrule_core::activation::Sigmoid;
use chainrule_core::loss::Mse;
use chainrule_core::{Ctx, Inline, Objective, Rows, Targets, Workspace};
use chainrule_tests::{Records, chain, dense};
use chainrule_trainer::schedule::Constant;
use chainrule_trainer::{Dataset, Forget, Settings, Sgd, State, TargetData, Threads, Trainer};
use serde_json::Value;

/// The notebook's class `ANN`, line by line.
#[derive(Clone, Copy)]
struct Ann {
    w1: f64,
    w2: f64,
    w3: f64,
    w4: f64,
    w5: f64,
    w6: f64,
    b1: f64,
    b2: f64,
    b3: f64,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn deriv_sigmoid(x: f64) -> f64 {
    let fx = sigmoid(x);
    fx * (1.0 - fx)
}

impl Ann {
    /// From numbers in the order of the reference, w1 to w6, then b1 to b3.
    fn new([w1, w2, w3, w4, w5, w6, b1, b2, b3]: [f64; 9]) -> Self {
        Self { w1, w2, w3, w4, w5, w6, b1, b2, b3 }
    }

    fn numbers(self) -> [f64; 9] {
        [self.w1, self.w2, self.w3, self.w4, self.w5, self.w6, self.b1, self.b2, self.b3]
    }

    fn feedforward(self, x: [f64; 2]) -> f64 {
        let h1 = sigmoid(self.w1 * x[0] + self.w2 * x[1] + self.b1);
        let h2 = sigmoid(self.w3 * x[0] + self.w4 * x[1] + self.b2);
        sigmoid(self.w5 * h1 + self.w6 * h2 + self.b3)
    }

    /// The partial derivatives of the loss of one sample, in the order of the reference.
    fn partials(self, x: [f64; 2], y_true: f64) -> [f64; 9] {
        let sum_h1 = self.w1 * x[0] + self.w2 * x[1] + self.b1;
        let h1 = sigmoid(sum_h1);

        let sum_h2 = self.w3 * x[0] + self.w4 * x[1] + self.b2;
        let h2 = sigmoid(sum_h2);

        let sum_o1 = self.w5 * h1 + self.w6 * h2 + self.b3;
        let o1 = sigmoid(sum_o1);
        let y_pred = o1;

        let p_l_p_ypred = -2.0 * (y_true - y_pred);

        let p_ypred_p_w5 = h1 * deriv_sigmoid(sum_o1);
        let p_ypred_p_w6 = h2 * deriv_sigmoid(sum_o1);
        let p_ypred_p_b3 = deriv_sigmoid(sum_o1);

        let p_ypred_p_h1 = self.w5 * deriv_sigmoid(sum_o1);
        let p_ypred_p_h2 = self.w6 * deriv_sigmoid(sum_o1);

        let p_h1_p_w1 = x[0] * deriv_sigmoid(sum_h1);
        let p_h1_p_w2 = x[1] * deriv_sigmoid(sum_h1);
        let p_h1_p_b1 = deriv_sigmoid(sum_h1);

        let p_h2_p_w3 = x[0] * deriv_sigmoid(sum_h2);
        let p_h2_p_w4 = x[1] * deriv_sigmoid(sum_h2);
        let p_h2_p_b2 = deriv_sigmoid(sum_h2);

        [
            p_l_p_ypred * p_ypred_p_h1 * p_h1_p_w1,
            p_l_p_ypred * p_ypred_p_h1 * p_h1_p_w2,
            p_l_p_ypred * p_ypred_p_h2 * p_h2_p_w3,
            p_l_p_ypred * p_ypred_p_h2 * p_h2_p_w4,
            p_l_p_ypred * p_ypred_p_w5,
            p_l_p_ypred * p_ypred_p_w6,
            p_l_p_ypred * p_ypred_p_h1 * p_h1_p_b1,
            p_l_p_ypred * p_ypred_p_h2 * p_h2_p_b2,
            p_l_p_ypred * p_ypred_p_b3,
        ]
    }

    /// One pass over the samples. The notebook updates its nine numbers one after the other, but only when all
    /// partial derivatives are known: together they are one step on a vector.
    fn epoch(self, samples: &[([f64; 2], f64)], learning_rate: f64) -> Self {
        samples.iter().fold(self, |ann, &(x, y_true)| {
            let mut numbers = ann.numbers();
            for (number, partial) in numbers.iter_mut().zip(ann.partials(x, y_true)) {
                *number -= learning_rate * partial;
            }
            Self::new(numbers)
        })
    }
}

/// The notebook's numbers, in the order of the reference, as `hidden.weight`, `hidden.bias`, `output.weight`,
/// `output.bias`; and from there back.
const THETA: [usize; 9] = [0, 1, 2, 3, 6, 7, 4, 5, 8];

fn theta_of(numbers: [f64; 9]) -> [f64; 9] {
    THETA.map(|at| numbers[at])
}

fn numbers_of(theta: [f64; 9]) -> [f64; 9] {
    let mut numbers = [f64::NAN; 9];
    THETA.into_iter().zip(theta).for_each(|(at, number)| numbers[at] = number);
    numbers
}

/// The notebook's network and loss.
fn objective() -> Objective<f64> {
    let network = chain(vec![("hidden", dense(2, 2, Sigmoid)), ("output", dense(2, 1, Sigmoid))]);
    Objective::new(network, Box::new(Mse)).unwrap()
}

fn outputs(objective: &Objective<f64>, theta: &[f64], x: &[f64]) -> Vec<f64> {
    let x = Rows::new(x, objective.input_shapes()[0].len());
    let mut workspace = Workspace::new(objective.network(), x.len()).unwrap();
    objective.outputs(theta, &[x], &mut workspace, &mut Ctx::evaluate(&Inline, &[])).data().to_vec()
}

/// The gradient of one sample's loss, in the order of the reference.
fn gradient(objective: &Objective<f64>, numbers: [f64; 9], x: [f64; 2], y_true: f64) -> [f64; 9] {
    let mut workspace = Workspace::new(objective.network(), 1).unwrap();
    let mut dtheta = [0.0; 9];
    objective.gradient(
        &theta_of(numbers),
        &[Rows::new(&x, 2)],
        Targets::Values(Rows::new(&[y_true], 1)),
        &mut dtheta,
        &mut [None],
        &mut workspace,
        &mut Ctx::evaluate(&Inline, &[]),
    );
    numbers_of(dtheta)
}

/// What the notebook's own code gave.
struct Reference {
    samples: Vec<([f64; 2], f64)>,
    epochs: u64,
    learning_rate: f64,
    runs: Vec<ReferenceRun>,
}

struct ReferenceRun {
    start: [f64; 9],
    end: [f64; 9],
    /// Epochs, counted from 0 as the notebook counts, and the losses after their last sample.
    losses: Vec<(u64, f64)>,
    female: f64,
    male: f64,
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn array<T, const N: usize>(value: &Value, item: impl Fn(&Value) -> T) -> [T; N] {
    list(value, item).try_into().ok().expect("as many items as the notebook has")
}

fn list<T>(value: &Value, item: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().expect("a list").iter().map(item).collect()
}

fn reference() -> Reference {
    let json: Value = serde_json::from_str(include_str!("../notebook/reference.json")).unwrap();
    assert_eq!(json["order"], "w1 w2 w3 w4 w5 w6 b1 b2 b3");
    let x = list(&json["data"]["x"], |row| array(row, number));
    let y = list(&json["data"]["y"], number);
    let run = |run: &Value| ReferenceRun {
        start: array(&run["start"], number),
        end: array(&run["end"], number),
        losses: list(&run["losses"], |pair| (pair[0].as_u64().expect("an epoch"), number(&pair[1]))),
        female: number(&run["female"]),
        male: number(&run["male"]),
    };
    Reference {
        samples: x.into_iter().zip(y).collect(),
        epochs: json["epochs"].as_u64().unwrap(),
        learning_rate: number(&json["learning_rate"]),
        runs: list(&json["runs"], run),
    }
}

#[track_caller]
fn assert_close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs();
    assert!(error <= tolerance * expected.abs(), "{what} is {found}, not {expected}: off by {error:e}");
}

#[test]
fn training_ends_where_the_notebook_ends() {
    let (objective, reference) = (objective(), reference());
    let names: Vec<String> = objective.parameters().into_iter().map(|parameter| parameter.name).collect();
    assert_eq!(names, ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]);
    let (x, y): (Vec<_>, Vec<_>) = reference.samples.iter().copied().unzip();
    let targets = TargetData::Values { data: y, width: 1 };
    let train = Dataset::new(x.concat(), 2, targets).unwrap();
    let trainer = Trainer {
        objective: &objective,
        train: &train,
        validation: None,
        scoring: None,
        optimizer: &Sgd::new(),
        schedule: &Constant(reference.learning_rate),
        settings: Settings { log_every: 10, evaluate_train: true, ..Settings::new(reference.epochs, 1) },
        threads: &Threads::one(),
        interrupt: None,
    };
    assert_eq!(reference.runs.len(), 4);
    for run in &reference.runs {
        let mut state = State::new(theta_of(run.start).to_vec(), Vec::new(), &Sgd::new());
        let mut records = Records::default();
        let outcome = trainer.fit(&mut state, &mut records, &mut Forget).unwrap();
        let theta: [f64; 9] = state.theta.try_into().unwrap();
        assert_eq!(outcome.steps, 4000);

        for (index, (found, expected)) in numbers_of(theta).into_iter().zip(run.end).enumerate() {
            assert_close(&format!("number {index}"), found, expected, 1e-9);
        }
        assert_eq!(run.losses.iter().map(|loss| loss.0).collect::<Vec<_>>(), [0, 10, 20, 990]);
        for &(epoch, expected) in &run.losses {
            let record = records.0.iter().find(|record| record.epoch == epoch + 1).expect("every 10th epoch");
            assert_close(&format!("the loss of epoch {epoch}"), record.train_loss.unwrap(), expected, 1e-9);
        }
        let predictions = outputs(&objective, &theta, &[-7.0, -3.0, 20.0, 2.0]);
        assert_close("the prediction for the woman", predictions[0], run.female, 1e-9);
        assert_close("the prediction for the man", predictions[1], run.male, 1e-9);
    }
}

/// Guards the formulas below: what they are compared with really is the notebook.
#[test]
fn the_scalar_formulas_train_as_the_notebook_does() {
    let reference = reference();
    for run in &reference.runs {
        let start = Ann::new(run.start);
        let end = (0..reference.epochs)
            .fold(start, |ann, _| ann.epoch(&reference.samples, reference.learning_rate));
        for (found, expected) in end.numbers().into_iter().zip(run.end) {
            assert_close("a number", found, expected, 1e-12);
        }
        assert_close("the prediction for the woman", end.feedforward([-7.0, -3.0]), run.female, 1e-12);
        assert_close("the prediction for the man", end.feedforward([20.0, 2.0]), run.male, 1e-12);
    }
}

/// The start values of the reference and the numbers of a hand.
fn parameter_sets() -> Vec<[f64; 9]> {
    let mut sets: Vec<_> = reference().runs.iter().map(|run| run.start).collect();
    sets.push([0.5, -0.25, 1.5, 0.75, -1.25, 0.3, 0.1, -0.2, 0.4]);
    sets.push([-0.9, 0.6, 0.2, -1.1, 0.8, 2.0, -0.7, 0.9, -1.5]);
    sets
}

#[test]
fn nine_scalar_formulas_equal_the_matrix_backward_pass() {
    let objective = objective();
    // Sums of a few units, where 1 - y keeps its digits and every partial is comparable alone.
    let samples = [[0.5, -0.3], [-1.0, 0.7], [0.2, 0.9], [-0.4, -0.6]];
    for numbers in parameter_sets() {
        for (x, y_true) in samples.into_iter().flat_map(|x| [(x, 0.0), (x, 1.0)]) {
            let expected = Ann::new(numbers).partials(x, y_true);
            let found = gradient(&objective, numbers, x, y_true);
            for (index, (found, expected)) in found.into_iter().zip(expected).enumerate() {
                assert_close(&format!("partial {index} of {numbers:?} at {x:?}"), found, expected, 1e-14);
            }
        }
    }
}

/// On the notebook's data neurons saturate, and `1 - y` has few digits left in either computation: there the
/// nine partials are compared as one vector.
#[test]
fn nine_scalar_formulas_equal_the_matrix_backward_pass_on_the_notebooks_data() {
    let objective = objective();
    let norm = |values: [f64; 9]| values.into_iter().map(|value| value * value).sum::<f64>().sqrt();
    for numbers in parameter_sets() {
        for (x, y_true) in reference().samples {
            let expected = Ann::new(numbers).partials(x, y_true);
            let found = gradient(&objective, numbers, x, y_true);
            let error = norm(std::array::from_fn(|at| found[at] - expected[at]));
            assert!(error <= 1e-14 * norm(expected), "{found:?}, not {expected:?}: off by {error:e}");
        }
    }
}

#[test]
fn neurons_give_the_numbers_of_the_notebooks_examples() {
    let neuron = |inputs| Objective::new(dense(inputs, 1, Sigmoid), Box::new(Mse)).unwrap();
    let y = outputs(&neuron(3), &[0.0, 1.0, 0.5, 4.0], &[2.0, 3.0, 4.0]);
    assert_close("f(9)", y[0], 0.9998766054240137, f64::EPSILON);
    let y = outputs(&neuron(2), &[0.0, 1.0, 4.0], &[2.0, 3.0]);
    assert_close("f(7)", y[0], 0.9990889488055994, f64::EPSILON);

    let h = outputs(&neuron(2), &[0.0, 1.0, 0.0], &[2.0, 3.0]);
    assert_close("h", h[0], 0.9525741268224334, f64::EPSILON);
    let all_alike = theta_of([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    let o = outputs(&objective(), &all_alike, &[2.0, 3.0]);
    assert_close("o", o[0], 0.7216325609518421, f64::EPSILON);
}
