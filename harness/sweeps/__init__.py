"""Sweeps: every arm gets the same number of trials of its parameters.

The way of one trial. ``Tuner`` (tuner) has checked the study file and opened one Optuna study an arm; then, for the arm
that has begun fewest trials::

    Ledger.revive          ledger              what dead processes left running is failed and queued again
      |
    Ledger.claim           ledger              a waiting retry, or a new trial; no other process gets the same one
      |  values            choosing.samplers   from (seed, slot) and what the arm's slots before have shown
      |  owner             worker              this process's name stands on the trial, and its heart beats for it
      v
    configured             configured_arm      the values as an arm like any of a study file
      |
    Trials.stages          trial               for each seed:
      |                                          the baseline's run     (once; a stored record trains nothing)
      |                                          the trial's run
      |                                          report the mean difference so far
      |  stop early?       choosing.pruners      unless it is the last seed
      v
    Ended                  trial               complete | pruned | infeasible | lost to another process
      |
    Ledger.finish, .prune  ledger              settles the slot; the beats end
      |
    Tuner.write            summary             sweep.json anew, and a progress line

Interrupted anywhere, ``Ledger.release`` gives the trial back, and killed, ``Ledger.revive`` of another process finds
it: the slot's next attempt has the same values. Once all slots of all arms are settled, tuned.yaml is written.

Which parameters an arm has is in search_parameters and accepted_numbers, which trials belong to one slot in attempts,
what makes a sweep the same sweep in identity, where trials are kept in storages, and all that touches Optuna's private
parts in optuna_backend.
"""
