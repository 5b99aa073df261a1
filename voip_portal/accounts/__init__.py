"""People: who may log in, with which verified campus address."""
