//! Shows that labels lead to where they did, in each instruction that has some.

use super::*;

/// The labels of the one instruction that `pick` finds, before and after.
fn labels_of(text: &str, pick: impl Fn(&Operator<'_>) -> bool) -> (Vec<usize>, Vec<usize>) {
    let wasm = wat::parse_str(text).unwrap();
    let rewritten = check_binary(&wasm, Kind::Alone);
    let find = |wasm: &[u8]| {
        let all: Vec<_> =
            bodies(wasm)[0].iter().filter(|(_, operator)| pick(operator)).map(|(_, op)| labels(op)).collect();
        assert_eq!(all.len(), 1, "{text}");
        all.into_iter().next().unwrap()
    };
    (find(&wasm), find(&rewritten.wasm))
}

/// The instruction is in two loops that count, in a block with the result `ty`.
fn in_loops(ty: &str, instruction: &str, pick: impl Fn(&Operator<'_>) -> bool) -> (Vec<usize>, Vec<usize>) {
    let text = format!(
        r#"(module
            (type $f (func)) (type $k (cont $f)) (type $s (struct)) (tag $t) (tag $v (param i32))
            (rec (type $o (descriptor $d) (struct)) (type $d (describes $o) (struct)))
            (func (param $x i32) (param $any anyref) (param $k (ref null $k)) (param $f (ref null $f)) (param $exn exnref)
                (param $o (ref null $o)) (param $d (ref $d))
                (block $out {ty}
                    (loop $a (loop $b
                        {instruction}
                        (br_if $b (local.get $x)) (br_if $a (local.get $x))))
                    unreachable)
                unreachable))"#
    );
    labels_of(&text, pick)
}

#[test]
fn labels_are_moved_in_all_instructions_that_have_them() {
    use Operator as O;
    // From the inner loop the two outside are 1 and 2 away, then 2 and 4.
    let br_if = "(block $c (br_if $out (local.get $x)) (br $c))";
    assert_eq!(in_loops("", br_if, |op| matches!(op, O::BrIf { relative_depth: 3 | 5 })), (vec![3], vec![5]));
    assert_eq!(in_loops("", "(br $out)", |op| matches!(op, O::Br { .. })), (vec![2], vec![4]));
    let table = "(block $c (br_table $c $b $a $out 4 $b (local.get $x)))";
    assert_eq!(
        in_loops("", table, |op| matches!(op, O::BrTable { .. })),
        (vec![0, 1, 2, 3, 4, 1], vec![0, 1, 3, 5, 6, 1])
    );
    let on_null = "(drop (br_on_null $out (local.get $f)))";
    assert_eq!(in_loops("", on_null, |op| matches!(op, O::BrOnNull { .. })), (vec![2], vec![4]));
    let on_non_null = "(br_on_non_null $out (local.get $f))";
    assert_eq!(
        in_loops("(result (ref $f))", on_non_null, |op| matches!(op, O::BrOnNonNull { .. })),
        (vec![2], vec![4])
    );
    let on_cast = "(drop (br_on_cast $out anyref (ref $s) (local.get $any)))";
    assert_eq!(in_loops("(result (ref $s))", on_cast, |op| matches!(op, O::BrOnCast { .. })), (vec![2], vec![4]));
    let on_cast_fail = "(drop (br_on_cast_fail $out anyref (ref $s) (local.get $any)))";
    assert_eq!(
        in_loops("(result anyref)", on_cast_fail, |op| matches!(op, O::BrOnCastFail { .. })),
        (vec![2], vec![4])
    );
    let on_desc = "(drop (br_on_cast_desc_eq $out (ref null $o) (ref $o) (local.get $o) (local.get $d)))";
    assert_eq!(in_loops("(result (ref $o))", on_desc, |op| matches!(op, O::BrOnCastDescEq { .. })), (vec![2], vec![4]));
    let on_desc_fail = "(drop (br_on_cast_desc_eq_fail $out (ref null $o) (ref $o) (local.get $o) (local.get $d)))";
    assert_eq!(
        in_loops("(result (ref null $o))", on_desc_fail, |op| matches!(op, O::BrOnCastDescEqFail { .. })),
        (vec![2], vec![4])
    );
    // Catches of `try_table` do not count the block itself.
    let all = "(try_table (catch $t $out) (catch_all $a) (catch_all $b) (catch_all 3) (throw $t))";
    assert_eq!(in_loops("", all, |op| matches!(op, O::TryTable { .. })), (vec![2, 1, 0, 3], vec![4, 2, 0, 5]));
    let refs = "(try_table (catch_ref $t $out) (catch_all_ref $out) (br $a))";
    assert_eq!(in_loops("(result exnref)", refs, |op| matches!(op, O::TryTable { .. })), (vec![2, 2], vec![4, 4]));
    // A loop that calls at once, each time around, would not count.
    let on = "(br_if $b (local.get $x)) (resume $k (on $t $out) (local.get $k))";
    assert_eq!(in_loops("(result (ref $k))", on, |op| matches!(op, O::Resume { .. })), (vec![2], vec![4]));
    let on = "(br_if $b (local.get $x)) (resume_throw $k $v (on $t $out) (i32.const 1) (local.get $k))";
    assert_eq!(in_loops("(result (ref $k))", on, |op| matches!(op, O::ResumeThrow { .. })), (vec![2], vec![4]));
    let on = "(br_if $b (local.get $x)) (resume_throw_ref $k (on $t $out) (local.get $exn) (local.get $k))";
    assert_eq!(in_loops("(result (ref $k))", on, |op| matches!(op, O::ResumeThrowRef { .. })), (vec![2], vec![4]));
    // Labels of `delegate` do not count the block that it ends.
    let delegate = "try $inner nop delegate $out";
    assert_eq!(in_loops("", delegate, |op| matches!(op, O::Delegate { .. })), (vec![2], vec![4]));
    let rethrow = "try $inner nop catch_all (loop $c (br_if $c (local.get $x)) (rethrow $inner)) end";
    assert_eq!(in_loops("", rethrow, |op| matches!(op, O::Rethrow { .. })), (vec![1], vec![2]));
}
