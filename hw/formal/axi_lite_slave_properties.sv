// axi_lite_slave: every write and every read is answered once, in order; the registers see each write that has all of
// its strobes once, with the address and the data that came, and each read once; the answers are what the registers
// said; and no offered answer changes. What is not answered yet are two writes and two reads at most.
`default_nettype none

module axi_lite_slave_properties #(
  parameter int unsigned AddressWidth = 2
) (
  input wire                    clk_i,
  input wire                    rst_ni,
  input wire [AddressWidth-1:0] awaddr_i,
  input wire                    awvalid_i,
  input wire [31:0]             wdata_i,
  input wire [3:0]              wstrb_i,
  input wire                    wvalid_i,
  input wire                    bready_i,
  input wire [AddressWidth-1:0] araddr_i,
  input wire                    arvalid_i,
  input wire                    rready_i,
  input wire                    write_accept_i,
  input wire [31:0]             read_data_i,
  input wire                    read_accept_i
);

  localparam bit [1:0] Okay = 2'b00;
  localparam bit [1:0] SlvErr = 2'b10;

  wire awready, wready, bvalid, arready, rvalid, write, read;
  wire [1:0] bresp, rresp;
  wire [31:0] rdata, write_data;
  wire [AddressWidth-1:0] write_address, read_address;

  axi_lite_slave #(
    .AddressWidth(AddressWidth)
  ) u_cell (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .awaddr_i(awaddr_i),
    .awvalid_i(awvalid_i),
    .awready_o(awready),
    .wdata_i(wdata_i),
    .wstrb_i(wstrb_i),
    .wvalid_i(wvalid_i),
    .wready_o(wready),
    .bresp_o(bresp),
    .bvalid_o(bvalid),
    .bready_i(bready_i),
    .araddr_i(araddr_i),
    .arvalid_i(arvalid_i),
    .arready_o(arready),
    .rdata_o(rdata),
    .rresp_o(rresp),
    .rvalid_o(rvalid),
    .rready_i(rready_i),
    .write_o(write),
    .write_address_o(write_address),
    .write_data_o(write_data),
    .write_accept_i(write_accept_i),
    .read_o(read),
    .read_address_o(read_address),
    .read_data_i(read_data_i),
    .read_accept_i(read_accept_i)
  );

  logic checked_q = 1'b0;
  always_ff @(posedge clk_i) if (!rst_ni) checked_q <= 1'b1;

  // -- writes: addresses and words that came, those that were carried out, and answers that are due

  wire [1:0] addresses, words;
  wire [1:0] answers;
  wire [1:0][AddressWidth-1:0] address_parts;
  wire [1:0][35:0] word_parts;
  wire [1:0][1:0] answer_parts;
  wire whole = &word_parts[0][35:32];
  // a write with a strobe low is not shown: it is carried out where the pair is there and the answer can be taken
  wire done = u_cell.write;

  queue_model #(
    .Width(AddressWidth),
    .Depth(2)
  ) u_addresses (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(awvalid_i && awready),
    .data_i(awaddr_i),
    .pop_i(done),
    .popped_i(write ? write_address : address_parts[0]),
    .level_o(addresses),
    .parts_o(address_parts)
  );

  queue_model #(
    .Width(36),
    .Depth(2)
  ) u_words (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(wvalid_i && wready),
    .data_i({wstrb_i, wdata_i}),
    .pop_i(done),
    .popped_i(write ? {4'hF, write_data} : word_parts[0]),
    .level_o(words),
    .parts_o(word_parts)
  );

  queue_model #(
    .Width(2),
    .Depth(2)
  ) u_answers (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(done),
    .data_i((write && write_accept_i) ? Okay : SlvErr),
    .pop_i(bvalid && bready_i),
    .popped_i(bresp),
    .level_o(answers),
    .parts_o(answer_parts)
  );

  handshake #(
    .Width(2),
    .MaxWait(2)
  ) u_b (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .valid_i(bvalid),
    .ready_i(bready_i),
    .data_i(bresp),
    .inside_i(answers != '0 || (addresses != '0 && words != '0))
  );

  // -- reads

  wire [1:0] reads, results;
  wire said = u_cell.read_q;  // the registers say what a read gives in the cycle after they have seen it
  wire [1:0][AddressWidth-1:0] read_parts;
  wire [1:0][33:0] result_parts;

  queue_model #(
    .Width(AddressWidth),
    .Depth(2)
  ) u_reads (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(arvalid_i && arready),
    .data_i(araddr_i),
    .pop_i(read),
    .popped_i(read_address),
    .level_o(reads),
    .parts_o(read_parts)
  );

  queue_model #(
    .Width(34),
    .Depth(2)
  ) u_results (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(said),
    .data_i({read_accept_i ? Okay : SlvErr, read_data_i}),
    .pop_i(rvalid && rready_i),
    .popped_i({rresp, rdata}),
    .level_o(results),
    .parts_o(result_parts)
  );

  handshake #(
    .Width(34),
    .MaxWait(3)
  ) u_r (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .valid_i(rvalid),
    .ready_i(rready_i),
    .data_i({rresp, rdata}),
    .inside_i(results != '0 || reads != '0 || said)
  );

  always_comb begin
    if (checked_q && rst_ni) begin
      whole_writes_are_shown : assert (!done || write == whole);
      shown_writes_are_done : assert (!write || done);
      room_for_an_address : assert (awready || addresses != '0);
      room_for_a_word : assert (wready || words != '0);
      room_for_a_read : assert (arready || reads != '0);

      // what the registers are
      addresses_are_counted : assert (addresses == 2'(u_cell.have_address_q));
      words_are_counted : assert (words == 2'(u_cell.have_data_q));
      answers_are_counted : assert (answers == 2'(bvalid));
      reads_are_counted : assert (reads == 2'(u_cell.have_read_q));
      results_are_counted : assert (results == 2'(rvalid));
      pairs_are_settled : assert (!u_cell.settled_q || (addresses != '0 && words != '0));
      reads_are_settled : assert (!u_cell.read_settled_q || reads != '0);
      one_read_at_a_time : assert (!said || (reads == '0 && !rvalid));
      address_is_kept : assert (addresses == '0 || write_address == address_parts[0]);
      word_is_kept : assert (words == '0 || write_data == word_parts[0][31:0]);
      strobes_are_kept : assert (words == '0 || u_cell.write_whole_q == whole);
      answer_is_kept : assert (!bvalid || bresp == answer_parts[0]);
      read_is_kept : assert (reads == '0 || read_address == read_parts[0]);
      result_is_kept : assert (!rvalid || {rresp, rdata} == result_parts[0]);
    end
  end

endmodule

`default_nettype wire
