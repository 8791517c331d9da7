package attachments

import (
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

// Person is a member as nested objects show them.
type Person struct {
	ID        ids.ID `json:"id" format:"uuid" doc:"The member's user id."`
	Email     string `json:"email" format:"email" doc:"Their address."`
	FirstName string `json:"first_name" doc:"Their first name."`
	LastName  string `json:"last_name" doc:"Their last name."`
}

// Attachment is a file of a task, as clients see it.
type Attachment struct {
	ID          ids.ID     `json:"id" format:"uuid" doc:"The attachment's id."`
	TaskID      ids.ID     `json:"task_id" format:"uuid" doc:"The task it belongs to."`
	Filename    string     `json:"filename" minLength:"1" maxLength:"255" doc:"What it is saved as: the name that was given, without folders and invisible characters."`
	Size        int64      `json:"size" minimum:"1" doc:"Its bytes."`
	ContentType string     `json:"content_type" maxLength:"255" doc:"Its media type."`
	UploadedBy  Person     `json:"uploaded_by" doc:"Who uploads it."`
	Status      string     `json:"status" enum:"pending,ready" doc:"pending until the upload was completed."`
	CreatedAt   time.Time  `json:"created_at" doc:"When the upload was begun."`
	ReadyAt     *time.Time `json:"ready_at" doc:"When it was completed; null before."`
	UpdatedAt   time.Time  `json:"updated_at" doc:"When it last changed."`
}

// Started is an attachment with the link that takes its file.
type Started struct {
	Attachment
	Upload Upload `json:"upload" doc:"Where to write the file to."`
}

// Upload is a link that takes one object.
type Upload struct {
	Method    string            `json:"method" enum:"PUT" doc:"The method to use."`
	URL       string            `json:"url" format:"uri" doc:"The object storage's address, signed. Whoever has it may write the file: keep it to yourself."`
	Headers   map[string]string `json:"headers" nullable:"false" doc:"To be sent exactly like this."`
	ExpiresAt time.Time         `json:"expires_at" doc:"When the link ends. An upload under way then is finished."`
}

// Downloadable is an attachment with the link to its file.
type Downloadable struct {
	Attachment
	DownloadURL       *string    `json:"download_url" format:"uri" doc:"A link to the file that anybody can use; null while it is pending."`
	DownloadExpiresAt *time.Time `json:"download_expires_at" doc:"When that link ends; null without one."`
}

// row is an attachment as the database has it, with what deciding about it
// takes of its project.
type row struct {
	Attachment
	version       int64
	objectKey     string
	projectStatus string
}

const (
	statusPending   = "pending"
	statusReady     = "ready"
	projectArchived = "archived"
)

var (
	errProjectArchived = errs.New(errs.Conflict, "project_archived", "The project is archived. Make it active first.")
	errNotYours        = errs.New(errs.Forbidden, "not_your_own", "Only who uploaded it or an administrator may do this.")
	errNotYourUpload   = errs.New(errs.Forbidden, "not_your_own", "Only who began the upload may complete it.")
	errNotUploaded     = errs.New(errs.Conflict, "not_uploaded", "The file is not there yet. Write it to the upload's url, then complete it.")
	errMismatch        = errs.New(errs.Conflict, "upload_mismatch", "What was uploaded is not of the size and type that were named, and was deleted. Upload it again.")
	errPlanLimit       = errs.New(errs.Payment, "plan_limit", "The file does not fit into the plan's storage. Delete attachments, or upgrade the plan.")
)

var examplePerson = Person{ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073990"), Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace"}

// pendingExample and readyExample are what the document shows.
func pendingExample() Attachment {
	at := time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)
	return Attachment{
		ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c0739b2"), TaskID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073991"),
		Filename: "listing.pdf", Size: 482133, ContentType: "application/pdf", UploadedBy: examplePerson,
		Status: statusPending, CreatedAt: at, UpdatedAt: at,
	}
}

func readyExample() Attachment {
	a := pendingExample()
	a.Status, a.ReadyAt, a.UpdatedAt = statusReady, new(a.CreatedAt.Add(time.Minute)), a.CreatedAt.Add(time.Minute)
	return a
}
