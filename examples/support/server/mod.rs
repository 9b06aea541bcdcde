//! A server on this machine that answers `POST /v1/messages` as the Claude API
//! does: its limits, header fields, refusals and overloads, with a model's
//! latency on a smaller scale.
//!
//! `meters` counts, `headers` shows what was counted, `model` makes answers up,
//! `answer` gives them their form, `api` decides on each request; all of them
//! are told the time. Only this file knows a socket and a clock.
#![expect(clippy::std_instead_of_core, reason = "a server has std")]

mod answer;
mod api;
mod headers;
mod meters;
mod model;

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Frame},
    header,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{sync::oneshot, time::Sleep};

use answer::Piece;
pub(crate) use api::{Api, Body, Config, Incoming};
use meters::Number;
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

    /// Sleeps until `span` after `start`.
    fn sleep(&self, start: Duration, span: Duration) -> Sleep {
        tokio::time::sleep(start.saturating_add(span).saturating_sub(self.now()))
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
            let service = service_fn(|request| respond(request, &shared));
            let connection = hyper::server::conn::http1::Builder::new();
            // A client may hang up in the middle.
            let _ended = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

type Sent = Either<Full<Bytes>, Paced>;

async fn respond(
    request: Request<hyper::body::Incoming>,
    shared: &Arc<Shared>,
) -> Result<Response<Sent>, Infallible> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(response(413, Either::Left(Full::default()))),
    };
    let key = head.headers.get("x-api-key");
    let came = shared.now();
    let reply = shared.api().handle(
        came,
        &Incoming {
            method: head.method.as_str(),
            path: head.uri.path(),
            key: key.and_then(|value| value.to_str().ok()),
            body: &body,
        },
    );
    let body = match reply.body {
        Body::Whole(text) => Either::Left(Full::new(Bytes::from(text))),
        Body::Stream(number, pieces) => Either::Right(Paced {
            shared: Arc::clone(shared),
            number,
            came,
            pieces: pieces.into_iter(),
            next: None,
        }),
    };
    shared.sleep(came, reply.after).await;
    let mut response = response(reply.status, body);
    for (name, value) in reply.fields {
        if let Ok(value) = header::HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

fn response(status: u16, body: Sent) -> Response<Sent> {
    let mut response = Response::new(body);
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// A stream, each piece in its time. When it is dropped, its answer stops: then
/// it was sent, or the client left.
struct Paced {
    shared: Arc<Shared>,
    number: Number,
    /// When its request came.
    came: Duration,
    pieces: std::vec::IntoIter<Piece>,
    next: Option<(Pin<Box<Sleep>>, Bytes)>,
}

impl hyper::body::Body for Paced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.next.is_none() {
            self.next = self.pieces.next().map(|piece| {
                let sleep = self.shared.sleep(self.came, piece.after);
                (Box::pin(sleep), Bytes::from(piece.bytes))
            });
        }
        if let Some((sleep, _)) = &mut self.next {
            ready!(sleep.as_mut().poll(context));
        }
        let piece = self.next.take();
        Poll::Ready(piece.map(|(_, bytes)| Ok(Frame::data(bytes))))
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.shared.api().stop(self.shared.now(), self.number);
    }
}
