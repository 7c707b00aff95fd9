#pragma once
// Which journal this is. Stores hold their watermarks under it, so that they do not take the facts of another instance's journal,
// or of one that begins anew or comes out of a backup, for those that they have.
//
//   shape     file "identity": UUID, a space, the first sequence that was there when it was given, a line feed
//   promises  given at the first open, and once more at the first open after a restore; it does not travel in backups
//   source    docs/formats/journal.md

#include <string>

#include "holdfast/trade/journal_log.hpp"

namespace holdfast::trade {

struct JournalIdentity {
    std::string uuid;
    Sequence first = 1;    // all before it was released under an earlier identity: every store had it
};

/// Durable on return. For the one that has locked the journal.
Result<JournalIdentity> settle_identity(JournalDisk& disk, const Recovery& recovery);

}    // namespace holdfast::trade
