//! One call, from asking to its end, on nothing but `core`, and all else that
//! layers 0 to 2 do. Exits with 0 if the call went as it should.
#![no_std]
#![no_main]

mod surface;
mod verbs;

use core::{
    arch::{asm, global_asm},
    panic::PanicInfo,
};

use sendwhen::{
    Decision, Dimension, ErrorDetails, Event, HeaderParser, Instant, Limiter, Rate, Request, Usage,
};

fn one_call() -> Option<()> {
    let mut limiter = Limiter::new(42)
        .limit(Dimension::Requests, Rate::per_minute(50).ok()?, 50)
        .ok()?;
    let mut call = limiter.call(Request::new().input_tokens(1_200).max_tokens(300));
    let Decision::Send(_) = call.handle(&mut limiter, Instant::ZERO, Event::Submitted) else {
        return None;
    };
    let mut parser = HeaderParser::new();
    parser.field(b"anthropic-ratelimit-requests-limit", b"50");
    parser.field(b"anthropic-ratelimit-requests-remaining", b"49");
    let hints = parser.finish();
    let head = Event::Responded {
        status: 200,
        hints: &hints,
        error: ErrorDetails::NONE,
    };
    let now = Instant::from_secs(2);
    if call.handle(&mut limiter, now, head) != Decision::Deliver {
        return None;
    }
    let end = Event::Finished(Some(Usage::new(1_180, 240)));
    (call.handle(&mut limiter, now, end) == Decision::Deliver).then_some(())
}

// The stack of a new program is not aligned as a function expects it.
global_asm!(
    ".globl _start",
    "_start:",
    "and rsp, -16",
    "call start",
    "ud2"
);

#[unsafe(no_mangle)]
extern "C" fn start() -> ! {
    surface::all();
    verbs::all();
    exit(if one_call().is_some() { 0 } else { 1 })
}

fn exit(status: i32) -> ! {
    // SAFETY: the system call `exit` of Linux on x86-64 takes a status and does
    // not come back.
    unsafe { asm!("syscall", in("rax") 60, in("rdi") status, options(noreturn)) }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(101)
}

#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// The four functions that compiled code takes for granted and that a C library
/// would bring.
mod memory {
    use core::arch::asm;

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        // SAFETY: the caller vouches for `len` bytes at both, not overlapping.
        unsafe {
            asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _);
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        if (to as usize).wrapping_sub(from as usize) >= len {
            // SAFETY: forwards, what is overwritten has been read before.
            return unsafe { memcpy(to, from, len) };
        }
        // SAFETY: backwards, likewise; the direction is set back.
        unsafe {
            asm!(
                "std", "rep movsb", "cld",
                inout("rcx") len => _,
                inout("rdi") to.wrapping_add(len).wrapping_sub(1) => _,
                inout("rsi") from.wrapping_add(len).wrapping_sub(1) => _,
            );
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
        // SAFETY: the caller vouches for `len` bytes.
        unsafe {
            asm!("rep stosb", inout("rcx") len => _, inout("rdi") to => _, in("al") byte as u8);
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        for i in 0..len {
            // SAFETY: the caller vouches for `len` bytes at both. Volatile, or
            // the compiler makes a call to `bcmp` of the loop.
            let same = unsafe { a.add(i).read_volatile() == b.add(i).read_volatile() };
            if !same {
                return 1;
            }
        }
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        for i in 0..len {
            // SAFETY: as in `bcmp`.
            let (a, b) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
            if a != b {
                return i32::from(a) - i32::from(b);
            }
        }
        0
    }
}
