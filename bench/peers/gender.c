// W1 as plain C: nine parameters in local variables, the nine partial derivatives of the notebook, nothing else. What no
// program that reads its network from a file can beat. Prints JSON: seconds an epoch, and the loss as a check.
#include <math.h>
#include <stdio.h>
#include <time.h>

enum { SAMPLES = 4, EPOCHS = 1000, REPEATS = 2001 };

static const double X[SAMPLES][2] = {{-3, -3}, {8, 14}, {5, 8}, {-10, -19}};
static const double Y[SAMPLES] = {1, 0, 0, 1};

static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

// Trains from the given start value; returns the mean loss of the last epoch.
static double train(double w1) {
    const double rate = 0.1;
    double w2 = -0.2, w3 = 0.5, w4 = 0.1, w5 = -0.4, w6 = 0.7, b1 = 0.05, b2 = -0.1, b3 = 0.2, loss = 0;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        loss = 0;
        for (int i = 0; i < SAMPLES; i++) {
            double x1 = X[i][0], x2 = X[i][1];
            double h1 = sigmoid(w1 * x1 + w2 * x2 + b1);
            double h2 = sigmoid(w3 * x1 + w4 * x2 + b2);
            double y = sigmoid(w5 * h1 + w6 * h2 + b3);
            double difference = y - Y[i];
            loss += difference * difference;
            double d3 = 2 * difference * y * (1 - y);
            double d1 = d3 * w5 * h1 * (1 - h1);
            double d2 = d3 * w6 * h2 * (1 - h2);
            w5 -= rate * d3 * h1;
            w6 -= rate * d3 * h2;
            b3 -= rate * d3;
            w1 -= rate * d1 * x1;
            w2 -= rate * d1 * x2;
            b1 -= rate * d1;
            w3 -= rate * d2 * x1;
            w4 -= rate * d2 * x2;
            b2 -= rate * d2;
        }
    }
    return loss / SAMPLES;
}

int main(void) {
    volatile double start = 0.3; // Or the compiler would train at compile time.
    double loss = train(start);
    printf("{\"version\": \"gcc %s\", \"seconds_per_epoch\": [", __VERSION__);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double begin = seconds();
        loss = train(start);
        printf("%s%.12g", repeat ? ", " : "", (seconds() - begin) / EPOCHS);
    }
    printf("], \"loss\": %.9g}\n", loss);
    return 0;
}
