//! The tests that run the real thing: the built binary, a database in a file or on PostgreSQL, HTTP, the stock `sqlite3`,
//! third-party clients and a browser. They are one binary, so that it links once.
//!
//! `cargo test` runs all tests that need no more than Rust. The others are ignored and say what they need;
//! `cargo test -- --include-ignored` runs them, too. `cargo test --test it follow::` runs one module.
//!
//! Histories are SQLite files. The same tests run on PostgreSQL with
//!
//! ```text
//! ANNALS_TEST_STORE=postgres cargo test --test it -- --skip sqlite::
//! ```
//!
//! They start a PostgreSQL of their own, 14 or later, which must be installed; each history is a database in it.
//! `tests/on-citus` runs them on Citus, and names the tests that do not fit. What is of SQLite alone is in the module `sqlite`.
//! What is of PostgreSQL alone is in the module `postgres`, which never runs on SQLite.
//!
//! | module | proves | ignored tests need |
//! |---|---|---|
//! | `import`, `files` | what `annals import` reads, rejects and reports | |
//! | `outcomes` | failures, queue times, cache hits and log-ins are the same in every list, view and page | |
//! | `loads` | loads have their label, tables, rows and message in every list, page, view and command | |
//! | `follow` | followed logs: rotation, restarts, kills | time (half a minute) |
//! | `audit_table` | audit tables of several versions: late rows, kills, outages, rights | MariaDB |
//! | `frontend` | polled frontends of several versions, good and bad | |
//! | `push`, `stream_load` | pushes and stream loads: labels, rejected rows, busy databases | |
//! | `push_bounds` | what one client that pushes can cost the others: memory, time, their reports | time |
//! | `serve`, `manager`, `lists`, `interface` | the paths of Doris and of `/api/v1` | |
//! | `response_cache` | cached lists are never stale | |
//! | `users`, `tokens`, `proxy_login`, `tls` | log-ins, roles, rights; tokens of programs; users whom a proxy names; TLS, slow and idle clients | openssl, curl, time |
//! | `http_edges`, `login_attack` | odd, slow and many requests; guessed passwords | time |
//! | `operation` | headers, metrics, the log, systemd | |
//! | `pages`, `browser` | the pages over plain HTTP, and in Chromium | chromium, chromium-driver |
//! | `accessibility` | axe-core finds no serious obstacle on any page | chromium, chromium-driver, Python with axe-playwright-python |
//! | `regress` | what got slower, new, more frequent or failing more is named, and nothing else is | |
//! | `usage` | who used the cluster and what ran beside a query, compared with a count by hand | |
//! | `plans` | the plans of a statement, what is usual for a plan, and that the store knows every plan | |
//! | `profile_bounds` | what one request for a profile may cost, whatever its text is | |
//! | `export` | exports: formulas in CSV, no loss elsewhere | |
//! | `clusters` | sources, pushes and merges name their cluster; lists tell clusters apart; rights by cluster | |
//! | `filters` | several values of one filter, and exclusions | |
//! | `orders` | lists by any order, in both directions, have every query once | |
//! | `zones` | a wrong time zone is named, and `annals shift` mends what it did | |
//! | `find`, `compare` | what a text means is found, and no more; any two runs side by side | |
//! | `search` | a search finds what reading all statements finds | |
//! | `read_bounds` | reads are bounded in time and bytes, and wait for no others | |
//! | `retention`, `merge` | bounds by age, merges | |
//! | `sqlite::`: `care`, `commands`, `config`, `open`, `odd_files`, `other_programs`, `retention`, `search` | backups, checks; bounds of the file; what annals opens and what it rejects; the search index | |
//! | `sqlite::`: `file_changes`, `salvage` | a file that changes underneath, races on a new file; damage of each kind, and what is saved | time (some ten seconds) |
//! | `sqlite::retention_bounds` | bounds that take neither too much nor too little; clocks that jump | cc, time |
//! | `sqlite::campaign` | kills, losses of power and failing disks while all sources write | time, a C compiler |
//! | `sqlite::soak` | memory, files and answer times stay flat for a long time | time |
//! | `sqlite::upgrade` | a history of every schema opens; a killed upgrade continues | time (some seconds) |
//! | `sqlite::disk_full` | a disk that is full | root, mount |
//! | `command_line`, `terminal`, `config` | the commands, at a terminal and in a pipe; the configuration | script (util-linux) |
//! | `sqlite::`: `sqlite_shell`, `docs` | the views in the stock shell; every example of the documents | sqlite3, curl, openssl |
//! | `postgres` | the same answers on both stores; several servers on one history, any of which dies; failover; what PostgreSQL does itself | PostgreSQL |
//! | `clients` | pydoris, DorisClient, AuditLoader, doris-mcp-server, schemathesis | Python packages |

mod support;

mod accessibility;
mod audit_table;
mod browser;
mod clients;
mod clusters;
mod command_line;
mod compare;
mod config;
mod export;
mod files;
mod filters;
mod find;
mod follow;
mod frontend;
mod http_edges;
mod import;
mod interface;
mod lists;
mod loads;
mod login_attack;
mod manager;
mod merge;
mod operation;
mod orders;
mod outcomes;
mod pages;
mod passwords;
mod plans;
mod postgres;
mod profile_bounds;
mod proxy_login;
mod push;
mod push_bounds;
mod read_bounds;
mod regress;
mod response_cache;
mod retention;
mod search;
mod serve;
mod sqlite;
mod stream_load;
mod terminal;
mod tls;
mod tokens;
mod usage;
mod users;
mod zones;
