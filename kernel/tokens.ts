// The tokenizer kernel of src/tokens/token-kernel.ts, in AssemblyScript: text in UTF-8 -> token ids of a byte-level BPE.
// Built by scripts/build-kernel.mjs into src/tokens/token-kernel.generated.ts. The caller lays out the memory.

export { placeClasses } from './tokens/characters';
export { bytesSplit, encode, placeChunks } from './tokens/chunks';
export { addPair, addSplits, keepLastMerges, placeMerges, placePairs } from './tokens/merges';
export { chooseScanner, splitsAt } from './tokens/scanners';
export { addWord, placeVocabulary } from './tokens/vocabulary';
export { placeWords, waitingWordBytes } from './tokens/words';
