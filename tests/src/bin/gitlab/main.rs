//! A stand-in for a GitLab server: the parts that signing on with GitLab and authorizing it need.
//!
//! Purpose: tests of `ctl gitlab authorize` and of the browser's way through both servers, where no
//! GitLab is installed. The stand-in keeps the contract of GitLab's REST API for instance-wide
//! OAuth applications and of its `OAuth2` provider, with the same refusals; there are no projects.
//!
//! ```text
//! gitlab --listen ADDRESS:PORT
//! ```
//!
//! | environment | what it is |
//! | --- | --- |
//! | `GITLAB_STANDIN_ROOT_TOKEN` | personal access token of the administrator `root`, scope `api` (needed) |
//! | `GITLAB_STANDIN_USER_TOKEN` | token of `alice`, who is no administrator |
//! | `GITLAB_STANDIN_READ_TOKEN` | token of `root` with scope `read_api` alone |
//! | `GITLAB_STANDIN_PASSWORD` | password of `root` and of `alice` in the browser; default `stand-in-password` |
//! | `GITLAB_STANDIN_DATA` | directory that keeps `state.json` (applications and tokens) over a restart; default: memory |
//! | `GITLAB_STANDIN_PAGE` | lists come in pages of that many, with `X-Next-Page`; default: whole |
//! | `GITLAB_STANDIN_OLD` | if set, secrets cannot be renewed: releases before 16.11 have no `renew-secret` |
//!
//! | route | as GitLab's |
//! | --- | --- |
//! | `GET /-/health` | `GitLab OK` |
//! | `GET /api/v4/version` | with a token |
//! | `GET, POST /api/v4/applications` | administrators; the secret is told at `POST` alone; `trusted` is not taken |
//! | `DELETE /api/v4/applications/:id`, `POST …/:id/renew-secret` | administrators |
//! | `GET /api/v4/user` | `Authorization: Bearer`, `PRIVATE-TOKEN` or `access_token` |
//! | `GET, POST /users/sign_in` | form with `user[login]`, `user[password]`, `authenticity_token`; cookie `_gitlab_session` |
//! | `GET, POST /oauth/authorize` | page with two forms (Authorize; Deny has `_method=delete`), each with `authenticity_token` |
//! | `POST /oauth/token` | a code once, with the client's secret |
//!
//! The stand-in's own address, for redirects and for the check of `Origin`, is what `Host` and
//! `X-Forwarded-Proto` say, as with GitLab behind a proxy. SIGTERM ends the stand-in.

mod applications;
mod oauth;
mod pages;
mod state;
mod web;

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{delete, get, post},
};
use clap::Parser;
use serde_json::json;

use crate::state::Gitlab;

/// A stand-in for a GitLab server; see the source for what its environment says.
#[derive(Parser)]
#[command(name = "gitlab")]
struct Arguments {
    /// Address and port to serve HTTP on.
    #[arg(long)]
    listen: SocketAddr,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    match runtime.block_on(serve(arguments.listen)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gitlab: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(listen: SocketAddr) -> std::io::Result<()> {
    let gitlab = Arc::new(Gitlab::from_environment()?);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("gitlab: listening on http://{}", listener.local_addr()?);
    axum::serve(listener, routes(gitlab)).await
}

fn routes(gitlab: Arc<Gitlab>) -> Router {
    Router::new()
        .route("/", get(pages::home))
        .route("/-/health", get(|| async { "GitLab OK" }))
        .route("/api/v4/version", get(applications::version))
        .route(
            "/api/v4/applications",
            get(applications::list).post(applications::create),
        )
        .route("/api/v4/applications/{id}", delete(applications::remove))
        .route(
            "/api/v4/applications/{id}/renew-secret",
            post(applications::renew),
        )
        .route("/api/v4/user", get(oauth::user))
        .route(
            "/users/sign_in",
            get(pages::sign_in_page).post(pages::sign_in),
        )
        .route("/oauth/authorize", get(oauth::ask).post(oauth::decide))
        .route("/oauth/token", post(oauth::token))
        .fallback(|| async {
            (
                StatusCode::NOT_FOUND,
                Json(json!({"error": "404 Not Found"})),
            )
        })
        .with_state(gitlab)
}
