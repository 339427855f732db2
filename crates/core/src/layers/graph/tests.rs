use super::*;
use crate::activation::{Gelu, Tanh};
use crate::layers::{Add, Concat, Dense, Multiply, check};

fn vector(len: usize) -> Shape {
    Shape::vector(len).unwrap()
}

fn node(name: &str, layer: impl Layer<f64> + 'static, inputs: &[Source]) -> Node<f64> {
    Node::new(name, Box::new(layer), inputs.to_vec())
}

fn tanh(inputs: usize, units: usize) -> Dense<f64> {
    Dense::new(&vector(inputs), units, Box::new(Tanh)).unwrap()
}

use Source::{Input, Node as Of};

#[test]
fn sums_the_gradients_of_a_fan_out() {
    let pair = [vector(3), vector(3)];
    let nodes = vec![
        node("stem", tanh(2, 3), &[Input(0)]),
        node("left", tanh(3, 3), &[Of(0)]),
        node("right", Dense::new(&vector(3), 3, Box::new(Gelu::exact())).unwrap(), &[Of(0)]),
        node("sum", Add::new(&pair).unwrap(), &[Of(1), Of(0)]),
        node("gate", Multiply::new(&pair).unwrap(), &[Of(3), Of(2)]),
        node("join", Concat::new(&pair, 0).unwrap(), &[Of(4), Of(0)]),
        node("out", tanh(6, 2), &[Of(5)]),
    ];
    let graph = Graph::new(vec![vector(2)], nodes).unwrap();
    for rows in [1, 2, 7] {
        check::gradients(&graph, rows);
    }
}

#[test]
fn reads_several_inputs_more_than_once_and_one_source_twice() {
    let nodes = vec![
        node("square", Multiply::new(&[vector(2), vector(2)]).unwrap(), &[Input(1), Input(1)]),
        node("mixed", Concat::new(&[vector(3), vector(2)], 0).unwrap(), &[Input(0), Of(0)]),
        node("hidden", tanh(5, 2), &[Of(1)]),
        node("sum", Add::new(&[vector(2), vector(2), vector(2)]).unwrap(), &[Of(2), Input(1), Of(2)]),
    ];
    check::gradients(&Graph::new(vec![vector(3), vector(2)], nodes).unwrap(), 5);
}

#[test]
fn sums_the_gradients_of_what_nodes_share() {
    let nodes = vec![
        node("first", tanh(3, 3), &[Input(0)]),
        node("between", tanh(3, 3), &[Of(0)]),
        node("again", tanh(3, 3), &[Of(1)]).tied_to(0),
    ];
    check::gradients(&Graph::new(vec![vector(3)], nodes).unwrap(), 4);
}

#[test]
fn equals_the_chain_of_the_same_layers() {
    let layers = || (tanh(3, 4), tanh(4, 2));
    let (a, b) = layers();
    let graph = Graph::new(vec![vector(3)], vec![node("a", a, &[Input(0)]), node("b", b, &[Of(0)])]).unwrap();
    let (a, b) = layers();
    let chain =
        crate::layers::Chain::new(vec![("a".into(), Box::new(a) as _), ("b".into(), Box::new(b) as _)]);
    let theta: Vec<f64> = (0..26).map(|i| f64::from(i) / 13.0 - 1.0).collect();
    let x = [0.5, -1.0, 2.0];
    assert_eq!(check::forward(&graph, &theta, &[&x]), check::forward(&chain.unwrap(), &theta, &[&x]));
}

#[test]
fn refuses_wiring_that_cannot_run() {
    let graph = |nodes| Graph::new(vec![vector(2)], nodes).unwrap_err();
    assert!(matches!(graph(vec![node("a", tanh(2, 2), &[Of(0)])]), Error::Order { .. }));
    assert!(matches!(graph(vec![node("a", tanh(2, 2), &[Input(1)])]), Error::Order { .. }));
    assert!(matches!(graph(vec![node("a", tanh(3, 2), &[Input(0)])]), Error::ShapeMismatch { .. }));
    let unused = vec![node("a", tanh(2, 2), &[Input(0)]), node("b", tanh(2, 2), &[Input(0)])];
    assert_eq!(graph(unused), Error::Unused { layer: "a".into() });
    let twice = vec![node("a", tanh(2, 2), &[Input(0)]), node("a", tanh(2, 2), &[Of(0)])];
    assert_eq!(graph(twice), Error::DuplicateName { name: "a".into() });
}
