//! Puts mutants into a source file, each behind a condition.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use proc_macro2::Span;
use quote::ToTokens as _;
use syn::{
    Arm, Attribute, Block, Expr, ExprMatch, ImplItemConst, ImplItemFn, ItemConst, ItemFn, ItemImpl,
    ItemMod, ItemStatic, Pat, Signature, TraitItemFn, Type, parse_quote, parse_str,
    spanned::Spanned as _,
    visit_mut::{self, VisitMut},
};

use crate::{Mutant, Place};

/// What the crate's root is given: whether this one was chosen.
pub const SWITCH: &str = "
pub(crate) fn mutant(number: u32) -> bool {
    static CHOSEN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    let chosen = || std::env::var(\"MUTANT\").ok()?.parse().ok();
    *CHOSEN.get_or_init(|| chosen().unwrap_or(0)) == number
}
";

/// What the compiler does not take.
#[derive(Default)]
pub struct Excepted {
    /// Functions that are called in constants, where nothing can be chosen: they
    /// stay `const` and without mutants.
    pub constant: BTreeSet<String>,
    /// Mutants of the wrong type.
    pub unviable: BTreeSet<u32>,
}

impl Excepted {
    pub fn len(&self) -> usize {
        self.constant.len() + self.unviable.len()
    }
}

/// `text` with all `mutants` but those that are excepted; the others' numbers are
/// added to `woven`. Functions are not `const` any more.
pub fn weave(
    text: &str,
    mutants: &[&Mutant],
    excepted: &Excepted,
    woven: &mut BTreeSet<u32>,
) -> Result<String> {
    let mut places: BTreeMap<Place, Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        if !excepted.unviable.contains(&mutant.number) {
            places.entry(mutant.span.start).or_default().push(mutant);
        }
    }
    let mut file = syn::parse_file(text)?;
    let mut weaver = Weaver {
        places,
        excepted,
        woven,
        implements: None,
        is_constant: false,
    };
    weaver.visit_file_mut(&mut file);
    Ok(prettyplease::unparse(&file))
}

struct Weaver<'a> {
    places: BTreeMap<Place, Vec<&'a Mutant>>,
    excepted: &'a Excepted,
    woven: &'a mut BTreeSet<u32>,
    /// Of what type the functions are that are walked through.
    implements: Option<String>,
    is_constant: bool,
}

impl Weaver<'_> {
    /// The mutants of this genre that begin there, as number and replacement.
    fn take(&mut self, at: Span, genre: &str) -> Vec<(u32, String)> {
        if self.is_constant {
            return Vec::new();
        }
        let here = self.places.get(&place(at)).into_iter().flatten();
        let here: Vec<_> = here
            .filter(|mutant| mutant.genre == genre)
            .map(|mutant| (mutant.number, mutant.replacement.clone()))
            .collect();
        self.woven.extend(here.iter().map(|(number, _)| number));
        here
    }

    fn function(&mut self, signature: &mut Signature, block: &mut Block) {
        let name = match &self.implements {
            Some(of) => format!("{of}::{}", signature.ident),
            None => signature.ident.to_string(),
        };
        let was_constant = self.is_constant;
        self.is_constant |= signature.constness.is_some() && self.excepted.constant.contains(&name);
        if !self.is_constant {
            signature.constness = None;
        }
        // A mutant of all of it has the place of its first statement.
        let first = block.stmts.first().map(syn::spanned::Spanned::span);
        visit_mut::visit_block_mut(self, block);
        let returns = signature.output.to_token_stream().to_string();
        // Which type `impl Trait` stands for is settled by what is returned.
        if let Some(first) = first.filter(|_| !returns.contains("impl ")) {
            for (number, replacement) in self.take(first, "FnValue") {
                match parse_str::<Expr>(&replacement) {
                    Ok(value) => block.stmts.insert(
                        0,
                        parse_quote!(if crate::mutant(#number) { return #value; }),
                    ),
                    Err(_) => {
                        self.woven.remove(&number);
                    }
                }
            }
        }
        self.is_constant = was_constant;
    }

    /// Replaces `whole`, all within which is woven already.
    fn operator(&mut self, whole: &mut Expr) {
        match whole {
            Expr::Binary(binary) => {
                let mut other: Expr = parse_quote!({ #binary });
                for (number, operator) in self.take(binary.op.span(), "BinaryOperator") {
                    let mut mutant = binary.clone();
                    match parse_str(&operator) {
                        Ok(operator) => mutant.op = operator,
                        Err(_) => continue,
                    }
                    other = parse_quote!({ if crate::mutant(#number) { #mutant } else #other });
                }
                *whole = parse_quote!((#other));
            }
            Expr::Unary(unary) => {
                let operand = &unary.expr;
                if let Some((number, _)) = self.take(unary.op.span(), "UnaryOperator").first() {
                    let mutant = operand.clone();
                    *whole = parse_quote!((if crate::mutant(#number) { #mutant } else { #unary }));
                }
            }
            _ => {}
        }
    }
}

impl VisitMut for Weaver<'_> {
    fn visit_item_mod_mut(&mut self, item: &mut ItemMod) {
        if !is_test(&item.attrs) {
            visit_mut::visit_item_mod_mut(self, item);
        }
    }

    fn visit_item_impl_mut(&mut self, item: &mut ItemImpl) {
        let name = match &*item.self_ty {
            Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        let outer = std::mem::replace(&mut self.implements, name);
        visit_mut::visit_item_impl_mut(self, item);
        self.implements = outer;
    }

    fn visit_item_fn_mut(&mut self, item: &mut ItemFn) {
        if !is_test(&item.attrs) {
            self.function(&mut item.sig, &mut item.block);
        }
    }

    fn visit_impl_item_fn_mut(&mut self, item: &mut ImplItemFn) {
        if !is_test(&item.attrs) {
            self.function(&mut item.sig, &mut item.block);
        }
    }

    fn visit_trait_item_fn_mut(&mut self, item: &mut TraitItemFn) {
        if let Some(block) = &mut item.default {
            self.function(&mut item.sig, block);
        }
    }

    fn visit_expr_match_mut(&mut self, whole: &mut ExprMatch) {
        let before = self.woven.len();
        visit_mut::visit_expr_match_mut(self, whole);
        if self.woven.len() > before {
            // Where all arms have conditions now.
            whole.arms.push(parse_quote!(_ => unreachable!(),));
        }
    }

    fn visit_arm_mut(&mut self, arm: &mut Arm) {
        let deleted = self.take(arm.span(), "MatchArm");
        self.visit_expr_mut(&mut arm.body);
        let mut guard = arm.guard.take().map(|(_, guard)| {
            let at = guard.span();
            let mut guard = *guard;
            self.visit_expr_mut(&mut guard);
            for (number, value) in self.take(at, "MatchArmGuard") {
                guard = if value == "true" {
                    parse_quote!((crate::mutant(#number) || #guard))
                } else {
                    parse_quote!((!crate::mutant(#number) && #guard))
                };
            }
            guard
        });
        for (number, _nothing) in deleted {
            guard = Some(match guard {
                Some(guard) => parse_quote!(!crate::mutant(#number) && (#guard)),
                None => parse_quote!(!crate::mutant(#number)),
            });
        }
        arm.guard = guard.map(|guard| (syn::token::If::default(), Box::new(guard)));
    }

    fn visit_expr_mut(&mut self, whole: &mut Expr) {
        match whole {
            Expr::Repeat(repeat) => self.visit_expr_mut(&mut repeat.expr),
            Expr::Const(_) => {}
            _ => {
                visit_mut::visit_expr_mut(self, whole);
                if !has_let(whole) {
                    self.operator(whole);
                }
            }
        }
    }

    fn visit_item_const_mut(&mut self, _: &mut ItemConst) {}
    fn visit_item_static_mut(&mut self, _: &mut ItemStatic) {}
    fn visit_impl_item_const_mut(&mut self, _: &mut ImplItemConst) {}
    fn visit_type_mut(&mut self, _: &mut Type) {}
    fn visit_pat_mut(&mut self, _: &mut Pat) {}
    fn visit_attribute_mut(&mut self, _: &mut Attribute) {}
    fn visit_macro_mut(&mut self, _: &mut syn::Macro) {}
}

fn place(span: Span) -> Place {
    let start = span.start();
    Place {
        line: start.line,
        column: start.column + 1,
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let words = attribute.meta.to_token_stream().to_string();
        words == "test" || words == "cfg (test)"
    })
}

/// Whether it is a condition that binds names, which cannot be moved.
fn has_let(whole: &Expr) -> bool {
    match whole {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        Expr::Paren(inner) => has_let(&inner.expr),
        _ => false,
    }
}
