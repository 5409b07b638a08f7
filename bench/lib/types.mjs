/** Types shared by the bench, for editors; nothing here runs. */

/**
 * @typedef {object} OpenOptions
 * @property {boolean} synced Whether an acknowledged record must survive a power cut.
 * @property {string} [variant] A way of doing it that belongs to one contender only.
 * @property {number} [bytes] Bytes that will be written at most (for preallocation).
 * @property {number} [size] Bytes of a payload.
 */

/**
 * @typedef {object} ScanRequest
 * @property {'batches' | 'records'} style
 * @property {() => boolean} until Whether time is up; asked about every thousand records.
 */

/**
 * @typedef {object} ScanResult
 * @property {number} records
 * @property {number} bytes Sum of the payloads' lengths.
 * @property {number} touched Sum of the payloads' first bytes: proof that each was looked at.
 */

/**
 * What every contender offers. A function that works synchronously returns undefined, so that
 * nobody pays for an await that its own interface does not ask for.
 *
 * @typedef {object} Store
 * @property {(payload: Uint8Array) => Promise<unknown> | undefined} append One record, its fastest
 *   way when the next one is appended only after this one is acknowledged.
 * @property {(payload: Uint8Array) => Promise<unknown> | undefined} enqueue One record, its fastest
 *   way when many are in flight and each has its own acknowledgement.
 * @property {(payloads: Uint8Array[]) => Promise<unknown> | undefined} appendBatch One atomic batch.
 * @property {(request: ScanRequest) => Promise<ScanResult>} scan All records in order.
 * @property {(
 *   indices: Iterable<number>,
 *   visit?: (index: number, payload: Uint8Array) => void,
 * ) => Promise<number>} getAll Records by number, one after the other.
 * @property {() => number | undefined} count Records in the store, when it can tell at once.
 * @property {() => Record<string, unknown>} settings Read back from the store, not repeated.
 * @property {() => Promise<unknown> | undefined} close
 */

/**
 * @typedef {object} Row One line of a figure's table.
 * @property {string} label
 * @property {'ours' | 'peer' | 'raw' | 'other'} role `other` is shown and judged by name only.
 * @property {string} contender File name in contenders/.
 * @property {string} [variant]
 * @property {string} [shape] Overrides the shape of the figure.
 * @property {string} [store] Name of the prepared store that the row reads.
 * @property {Record<string, unknown>} [job] More fields for the child's job.
 */

/**
 * @typedef {object} Check A target and whether it is met.
 * @property {string} text
 * @property {number | undefined} value
 * @property {number} target
 * @property {'>=' | '<='} direction
 * @property {string} unit
 * @property {string} [note]
 */
