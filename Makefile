# The commands that people type. `make` lists them.
.DEFAULT_GOAL := help
.PHONY: help run test lint sqlx bench campaign soak fuzz sanitize ci

help: ## list the commands
	@grep -E '^[a-z]+: *##' Makefile | sed 's/: *##/\t/'
run: ## serve the sample data on http://127.0.0.1:8130
	cargo run --release -- serve --import tests/data
test: ## the tests that need only Rust
	cargo test
lint: ## format, clippy, documentation
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
sqlx: ## write .sqlx again after a change to SQL or to a migration (needs the sqlite3 shell and PostgreSQL)
	tests/statements
bench: ## the whole benchmark: some twenty minutes and 15 GB of disk
	cargo bench --bench history
campaign: export ANNALS_CAMPAIGN_KILLS ?= 1000
campaign: export ANNALS_CAMPAIGN_POWER_LOSSES ?= 500
campaign: export ANNALS_CAMPAIGN_DISK_ERRORS ?= 300
campaign: export ANNALS_TEST_SECONDS ?= 300
campaign: ## kills, losses of power, disk errors and failover while all sources write: an hour
	cargo test --release --test it -- campaign:: failover:: --include-ignored --nocapture --test-threads 1
soak: export ANNALS_SOAK_SECONDS ?= 3600
soak: ## 2,000 records and 500 reads a second on a history with a bound: an hour
	cargo test --release --test it soak:: -- --include-ignored --nocapture
fuzz: ## ten million inputs for each fuzz target: some hours (needs nightly Rust, cargo-fuzz and a C++ compiler)
	RUNS=10000000 fuzz/run
	RUNS=100000 SANITIZER=address fuzz/run
sanitize: ## the store's tests under AddressSanitizer, its pure parts under Miri (needs nightly Rust with miri and rust-src)
	RUSTFLAGS=-Zsanitizer=address ASAN_OPTIONS=detect_leaks=0 cargo +nightly test --locked --lib \
		--target x86_64-unknown-linux-gnu --target-dir target/sanitize store::
	cargo +nightly miri test --locked --lib --target-dir target/miri watch::tests::a_header
ci: ## everything that must pass before a change lands
	.ci/run
