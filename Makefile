# make demo     build examples/web-server end to end on this machine
# make test     lint, types, all tests (real machines included)
# make faults   a full build with each fault at each of its calls: a table (some ten minutes)
# make bench    timings, against peers in the same run
# make package  source distribution and wheel, in dist/
# make docs     README.md and docs/ as a static site, in out/docs; a link that leads nowhere fails
# make pipeline buildAmi() as in Jenkins, without Jenkins: console, real machine, archived files (SOURCE=FOLDER)
# make setup    install what the tests need, and nothing else
.PHONY: demo test setup lint faults bench package docs pipeline clean
BIN := .venv/bin
# how many tests boot a machine at a time; with one processor each, as there are more of them than the host has
MACHINES ?= 3

demo:
	@tools/setup.sh demo
	@$(BIN)/jenkins-ami bake examples/web-server --local -o out/web-server
	@echo "test    $(BIN)/jenkins-ami boot out/web-server --test"
	@echo "look    $(BIN)/jenkins-ami boot out/web-server --port 8080:80   and open http://localhost:8080/"

setup:
	@tools/setup.sh test

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	tools/groovy-lint.sh

test: lint
	@rm -f .coverage .coverage.*
	$(BIN)/pytest -n 2 --dist loadgroup -m "not boot" --cov --cov-report=
	JENKINS_AMI_VCPUS=1 $(BIN)/pytest -n $(MACHINES) --dist loadgroup -m boot -v --durations=15 --cov --cov-append

faults: setup
	@$(BIN)/python -m tests.faults

bench:
	@tools/setup.sh bench
	@$(BIN)/python tests/bench.py

package: setup
	@rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist

docs: setup
	@$(BIN)/python tools/docs.py -o out/docs

pipeline: setup
	@$(BIN)/python -m tests.pipeline $(SOURCE)

clean:
	rm -rf out dist .coverage* .pytest_cache .mypy_cache .ruff_cache
