"""What sockets have on either side: flags, acknowledgements, listeners for every event, and how code of applications is started."""
