//! What gradients obey in networks whose parameters are too many to move one by one.

use chainrule_core::gradcheck::{LayerCase, Options, Phase, batch_additivity, transpose_identity};
use chainrule_core::{Layer, parameter_count};
use chainrule_tests::networks::{attentive, convolutional, recurrent};

/// `<u, J v> = <J' u, v>` as it trains, and a batch's gradients are the sum of its samples' as it predicts.
fn assert_laws(network: &dyn Layer<f64>, least_parameters: usize) {
    let count = parameter_count(&network.parameters()).unwrap();
    assert!(count >= least_parameters, "only {count} parameters");
    for seed in 0..2 {
        let options = Options { seed, ..Options::default() };
        for phase in [Phase::Train, Phase::Evaluate] {
            let case = LayerCase { rows: 3, phase, ..LayerCase::default() };
            let error = transpose_identity(network, &case, options).unwrap();
            assert!(error < 1e-7, "{phase:?}, seed {seed}: {error:e}");
        }
        let case = LayerCase { rows: 3, phase: Phase::Evaluate, ..LayerCase::default() };
        let error = batch_additivity(network, &case, options).unwrap();
        assert!(error < 1e-12, "seed {seed}: {error:e}");
    }
}

#[test]
fn the_jacobian_of_a_convolutional_network_is_transposed_on_the_way_back() {
    assert_laws(convolutional().as_ref(), 100_000);
}

#[test]
fn the_jacobian_of_a_recurrent_network_is_transposed_on_the_way_back() {
    assert_laws(recurrent().as_ref(), 300_000);
}

#[test]
fn the_jacobian_of_a_transformer_is_transposed_on_the_way_back() {
    assert_laws(attentive().as_ref(), 200_000);
}
