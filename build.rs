//! Rebuilds annals when a migration is added: the compiler does not watch their folder.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
