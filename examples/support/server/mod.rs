//! A server on this machine that answers `POST /v1/messages` as the Claude API
//! does: its limits, header fields, refusals and overloads, with a model's
//! latency on a smaller scale.
//!
//! `meters` counts, `headers` shows what was counted, `model` makes answers up,
//! `api` decides on each request; all of them are told the time. Only this file
//! knows a socket and a clock.
#![expect(clippy::std_instead_of_core, reason = "a server has std")]

mod api;
mod headers;
mod meters;
mod model;

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming as Body},
    header,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

pub(crate) use api::{Api, Config, Incoming, Reply};
pub(crate) use meters::{Limits, Totals};

/// As the Claude API: no request is larger.
const LARGEST_BODY: usize = 32 << 20;

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    api: Mutex<Api>,
    origin: Instant,
}

impl Server {
    /// Starts it on a port that the system picks.
    #[expect(
        clippy::disallowed_methods,
        reason = "a server reads clocks and starts a thread"
    )]
    pub(crate) fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            api: Mutex::new(Api::new(config, SystemTime::now())),
            origin: Instant::now(),
        });
        let (stop, stopped) = oneshot::channel();
        let inside = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    _ = accept(listener, inside) => {}
                }
            });
        });
        Ok(Self {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it is, without a path.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it charged so far.
    pub(crate) fn totals(&self) -> Totals {
        self.shared.api().totals(self.shared.now())
    }

    /// The longest that one answer took.
    pub(crate) fn longest_answer(&self) -> Duration {
        self.shared.api().longest_answer()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A server that panicked has said so.
            let _ended = thread.join();
        }
    }
}

impl Shared {
    #[expect(clippy::disallowed_methods, reason = "a server reads a clock")]
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn api(&self) -> MutexGuard<'_, Api> {
        self.api.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves every connection until it closes. Does not end by itself.
async fn accept(listener: TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: some close soon.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // It answers without it too.
        let _set = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &shared));
            let connection = hyper::server::conn::http1::Builder::new();
            // A client may hang up in the middle.
            let _ended = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Body>,
    shared: &Shared,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(plain(413)),
    };
    let key = head.headers.get("x-api-key");
    let reply = shared.api().handle(
        shared.now(),
        &Incoming {
            method: head.method.as_str(),
            path: head.uri.path(),
            key: key.and_then(|value| value.to_str().ok()),
            body: &body,
        },
    );
    tokio::time::sleep(reply.after).await;
    Ok(response(reply))
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = plain(reply.status);
    *response.body_mut() = Full::new(Bytes::from(reply.body));
    for (name, value) in reply.fields {
        if let Ok(value) = header::HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn plain(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response
}
