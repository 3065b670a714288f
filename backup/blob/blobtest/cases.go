package blobtest

// Cases returns all checks. Each covers sentences of the comments of blob.Store.
func Cases() []Case {
	return []Case{
		makeCase("Check", checkCheck),
		makeCase("StagedIsInvisible", checkStagedIsInvisible),
		makeCase("StagedPartsOfNothing", checkStagedPartsOfNothing),
		makeCase("StageAgainReplaces", checkStageAgainReplaces),
		makeCase("StageKeepsNoData", checkStageKeepsNoData),
		makeCase("StageRefusesChecksum", checkStageRefusesChecksum),
		makeCase("StageRefusesSize", checkStageRefusesSize),
		makeCase("StageConcurrently", checkStageConcurrently),
		makeCase("KeysAreSeparate", checkKeysAreSeparate),

		makeCase("CommitConcatenates", checkCommitConcatenates),
		makeCase("CommitNeverReplaces", checkCommitNeverReplaces),
		makeCase("CommitHasOneWinner", checkCommitHasOneWinner),
		makeCase("CommitNeedsItsParts", checkCommitNeedsItsParts),
		makeCase("CommitDropsOtherParts", checkCommitDropsOtherParts),
		makeCase("CommitAgain", checkCommitAgain),
		makeCase("CommitEmpty", checkCommitEmpty),
		makeCase("CommitManyParts", checkCommitManyParts),
		makeCase("CommitLargeParts", checkCommitLargeParts),
		makeCase("CommittedParts", checkCommittedParts),

		makeCase("NotFound", checkNotFound),
		makeCase("Ranges", checkRanges),
		makeCase("Metadata", checkMetadata),
		makeCase("OddKeys", checkOddKeys),
		makeCase("BadKeys", checkBadKeys),
		makeCase("List", checkList),
		makeCase("ListStops", checkListStops),

		makeCase("DeleteTwice", checkDeleteTwice),
		makeCase("DeleteThenCommit", checkDeleteThenCommit),
		makeCase("DeleteLeavesParts", checkDeleteLeavesParts),
		makeCase("AbortIsHarmless", checkAbortIsHarmless),
		makeCase("AbortThenUpload", checkAbortThenUpload),
		makeCase("Canceled", checkCanceled),
	}
}
