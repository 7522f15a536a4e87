package journal

import "io"

// An FS is a folder of files, flat. It is the only way of a Disk to the disk, so
// that a test can cut the power.
type FS interface {
	// List returns the names of all files, in any order. A folder that does not
	// exist yet is empty.
	List() ([]string, error)

	// Open opens a file for reading, Edit for reading and writing. Create makes
	// a new one, for both; that the file is there is safe after SyncDir.
	Open(name string) (File, error)
	Edit(name string) (File, error)
	Create(name string) (File, error)

	// Remove and Rename are safe after SyncDir, too.
	Remove(name string) error
	Rename(from, to string) error
	SyncDir() error

	// Free returns how many bytes can still be stored.
	Free() (int64, error)
}

// A File is a file of an FS. Its methods may be called from several goroutines.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer

	// Sync returns when all that was written is safe, and as much about the
	// file as is needed to read it (fdatasync).
	Sync() error
	Size() (int64, error)
}
