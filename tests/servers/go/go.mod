module vestibule.test/views

go 1.21
