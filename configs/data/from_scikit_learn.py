"""Writes iris.csv and breast_cancer.csv from the files in the scikit-learn wheel; run in this folder."""
import csv, importlib.resources as r
from sklearn import datasets
base = r.files("sklearn.datasets") / "data"
names = ["setosa","versicolor","virginica"]
rows = list(csv.reader((base/"iris.csv").open()))[1:]
with open("iris.csv","w") as f:
    f.write("sepal_length,sepal_width,petal_length,petal_width,species\n")
    for x in rows: f.write(",".join(x[:4]+[names[int(x[4])]])+"\n")
b = datasets.load_breast_cancer()
rows = list(csv.reader((base/"breast_cancer.csv").open()))[1:]
head = [n.replace(" ","_") for n in b.feature_names]
with open("breast_cancer.csv","w") as f:
    f.write(",".join(head+["diagnosis"])+"\n")
    for x in rows: f.write(",".join(x[:30]+[b.target_names[int(x[30])]])+"\n")
