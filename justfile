nextest := "cargo-nextest@0.9.151 --no-default-features --features default-no-update"
deny := "cargo-deny@0.20.2"
insta := "cargo-insta@1.49.0"
fuzz := "cargo-fuzz@0.13.2"

# List the recipes
default:
    @{{ just_executable() }} --list --unsorted --justfile {{ justfile() }}

# Run every strategy on every layout and say which boots: the main job
compare *ARGS:
    cargo build --release
    @cargo run --release --quiet -- compare {{ ARGS }}

# Run the tests; brings nextest if it is absent
test *ARGS: (_tool "nextest" nextest)
    cargo nextest run --workspace {{ ARGS }}
    cargo test --quiet --doc --package pgtlab-core

# Look through the snapshots that a change has changed, one by one
review: (_tool "nextest" nextest) (_tool "insta" insta)
    cargo insta test --workspace --test-runner nextest --review

# Accept every changed snapshot and write the generated pages anew
bless: (_tool "nextest" nextest)
    INSTA_UPDATE=always INSTA_FORCE_PASS=1 cargo nextest run --workspace --no-fail-fast

# Check formatting, lints, documentation, licences and where dependencies come from
lint: _format _clippy _doc (_deny "bans licenses sources")

# Measure what building tables costs, per mapped entry
bench *ARGS:
    cargo bench --workspace --bench '*' -- {{ ARGS }}

# Feed each reader of texts what nobody wrote, for so many seconds each; what breaks one stays in fuzz/artifacts
fuzz SECONDS="60": (_fuzz "import" SECONDS) (_fuzz "iomem" SECONDS) (_fuzz "layout" SECONDS) (_fuzz "options" SECONDS) (_fuzz "ptdump" SECONDS)

# Run a strategy on all 14 million machines of a small family, then on 100,000 and more drawn at random
prove STRATEGY="semantic-builder" *ARGS:
    cargo build --release
    @cargo run --release --quiet -- prove {{ STRATEGY }} --frames 11 {{ ARGS }}
    @cargo run --release --quiet -- prove {{ STRATEGY }} --random --cases 104000 {{ ARGS }}

# Build a strategy whenever a source changes, and print what moved in the matrix; Ctrl-C ends it
watch STRATEGY *ARGS:
    @cargo run --release --quiet -- watch {{ STRATEGY }} {{ ARGS }}

# Make the crate strategies/NAME: it builds, is compared and passes its test at once
new-strategy NAME *ARGS:
    @cargo run --release --quiet -- new {{ NAME }} {{ ARGS }}

# Put the program and its strategies under PREFIX: it then runs from any folder, without this one
install PREFIX=(home_directory() / ".local"):
    cargo build --release
    @cargo run --release --quiet -- install '{{ PREFIX }}'

# Put cells before the judges that this machine has; one that it has not is no failure
judge *ARGS:
    cargo build --release
    @cargo run --release --quiet -- judge mmu {{ ARGS }} || test $? -eq 3
    @cargo run --release --quiet -- judge xen {{ ARGS }} || test $? -eq 3

# Unpack QEMU and Xen under target/engines, for the judges; installs nothing. `just engines linux`: the kernel of `judge linux`
engines *ARGS:
    .ci/engines {{ ARGS }}

# Do what every change must pass
ci:
    .ci/run

# Look dependencies up in the advisory database, which needs a network
advisories: (_deny "advisories")

_fuzz TARGET SECONDS: (_tool "fuzz" fuzz)
    mkdir -p fuzz/corpus/{{ TARGET }}
    cargo fuzz run -s none {{ TARGET }} fuzz/corpus/{{ TARGET }} fuzz/seeds core/tests/logs snapshots -- -dict=fuzz/words.dict -max_total_time={{ SECONDS }}

_format:
    cargo fmt --all --check
    rustfmt --edition 2024 --check guest/*/src/main.rs fuzz/fuzz_targets/*.rs
    {{ just_executable() }} --fmt --check

_clippy:
    cargo clippy --workspace --all-targets -- -D warnings

_doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

_deny CHECKS: (_tool "deny" deny)
    cargo deny --workspace check --hide-inclusion-graph {{ CHECKS }}

# Without debug information, which takes a third of the time and is of no use here.
_tool NAME PACKAGE:
    @cargo {{ NAME }} --version >/dev/null 2>&1 || CARGO_PROFILE_DEV_DEBUG=0 cargo install --debug --locked {{ PACKAGE }}
